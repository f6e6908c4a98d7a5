/** The protocol as a text for people: rules, tables, then every operation and event. */
import { LIMITS, RATES, STATUS_BY_CODE, type Contract, type EventMap, type Operation } from '../../protocol/index.ts';
import { fieldsOf, typeText } from './notation.ts';
import { OTHER_ROUTES } from './other-routes.ts';
import { INTRODUCTION, MEANINGS } from './prose.ts';
import { RULES } from './rules.ts';
import { shapesOf, type JsonSchema } from './shapes.ts';

export function protocolMarkdown(contract: Contract, events: EventMap, version: string): string {
  const shapes = shapesOf(contract, events);
  const parts = [
    `# The Atelier protocol, version ${version}`,
    'Generated from the contract by `npm run docs`; do not edit.',
    INTRODUCTION,
    '## Rules',
    'The id of a rule titles the tests that hold it.',
    ...RULES.flatMap(({ title, rules }) => [
      `### ${title}`,
      Object.entries(rules)
        .map(([id, text]) => `- **[${id}]** ${text}`)
        .join('\n'),
    ]),
    '## Error codes',
    table(
      ['code', 'HTTP status', 'means'],
      Object.entries(STATUS_BY_CODE).map(([code, status]) => [
        `\`${code}\``,
        String(status),
        MEANINGS[code as keyof typeof STATUS_BY_CODE],
      ]),
    ),
    '## Limits',
    'Bytes and milliseconds where the name says so; `hello.limits` carries them too.',
    table(
      ['limit', 'value'],
      Object.entries(LIMITS).map(([name, value]) => [`\`${name}\``, number(value)]),
    ),
    '## Rates',
    'Of one user, or of one address where nobody is signed in.',
    table(
      ['class', 'operations', 'in seconds'],
      Object.entries(RATES).map(([name, rate]) => [`\`${name}\``, number(rate.points), number(rate.windowSeconds)]),
    ),
    '## Shapes',
    ...Object.entries(shapes.components).flatMap(([name, schema]) => [`### ${name}`, block(schema)]),
    '## Operations',
    ...Object.entries(contract).flatMap(([name, operation]) => [
      `### ${name}`,
      operation.doc,
      facts(operation),
      `Input:\n\n${block(shapes.inputs[name] as JsonSchema)}`,
      `Data:\n\n${block(shapes.outputs[name] as JsonSchema)}`,
    ]),
    '## Events',
    ...Object.entries(events).flatMap(([name, { doc }]) => [
      `### ${name} (event)`,
      doc,
      block(shapes.events[name] as JsonSchema),
    ]),
    '## Other routes',
    table(
      ['route', 'does'],
      OTHER_ROUTES.map((route) => [
        `\`${route.method.toUpperCase()} ${route.path}\``,
        `${route.summary}. ${route.doc}`,
      ]),
    ),
  ];
  return `${parts.join('\n\n')}\n`;
}

const CALLERS = { public: 'anybody', user: 'signed in', admin: 'an administrator of the server' } as const;

function facts(operation: Operation): string {
  const { http, auth, rate, maxBytes, timeoutMs, orderKey } = operation;
  const routes = [http?.route, http?.alias].flatMap((route) => (route === undefined ? [] : [`\`${route}\``]));
  const where = http?.only ? `HTTP only: ${routes.join(', ')}` : ['socket', ...routes].join(', ');
  return [
    `- On: ${where}`,
    `- Caller: ${CALLERS[auth]}; rate class \`${rate}\``,
    ...(http?.stream ? ['- With `Accept: text/event-stream` the stream itself is the answer over HTTP'] : []),
    ...(orderKey ? ['- Handled in the order sent'] : []),
    ...(maxBytes === undefined ? [] : [`- Input of at most ${number(maxBytes)} bytes`]),
    ...(http?.maxBytes === undefined ? [] : [`- Over HTTP, input of at most ${number(http.maxBytes)} bytes`]),
    ...(timeoutMs === undefined ? [] : [`- Answered within ${number(timeoutMs)} ms`]),
  ].join('\n');
}

/** An object, one field a line with its meaning behind it. */
function block(schema: JsonSchema): string {
  const fields = fieldsOf(schema);
  if (fields.length === 0) return `\`\`\`ts\n${typeText(schema)}\n\`\`\``;
  const lines = fields.map(
    ({ name, isRequired, type, note }) =>
      `  ${name}${isRequired ? '' : '?'}: ${type};${note === '' ? '' : ` // ${note}`}`,
  );
  return `\`\`\`ts\n{\n${lines.join('\n')}\n}\n\`\`\``;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const number = (value: number): string => value.toLocaleString('en-US');
