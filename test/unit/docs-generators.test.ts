import { expect, test } from 'vitest';
import { z } from 'zod';
import { contract, events } from '../../src/features/registry.ts';
import { event, LIMITS, operation, STATUS_BY_CODE, type Contract } from '../../src/protocol/index.ts';
import { asyncApi } from '../../src/rest/docs/asyncapi.ts';
import { typeText, fieldsOf } from '../../src/rest/docs/notation.ts';
import { openApi } from '../../src/rest/docs/openapi.ts';
import { docsPage } from '../../src/rest/docs/page.ts';
import { protocolMarkdown } from '../../src/rest/docs/protocol-markdown.ts';
import { RULES } from '../../src/rest/docs/rules.ts';
import { shapesOf } from '../../src/rest/docs/shapes.ts';
import { twinsOf } from '../../src/rest/twins.ts';

const open = openApi(contract, '1');
const async_ = asyncApi(contract, events, '1');
const text = protocolMarkdown(contract, events, '1');
const operations = Object.values(open.paths).flatMap((methods) => Object.values(methods));
const socketNames = Object.entries(contract as Contract).flatMap(([name, { http }]) => (http?.only ? [] : [name]));

/** Every `$ref` in a document. */
function referencesIn(document: unknown): string[] {
  const found: string[] = [];
  JSON.stringify(document, (key, value: unknown) => {
    if (key === '$ref') found.push(value as string);
    return value;
  });
  return found;
}

function resolve(document: unknown, reference: string): unknown {
  const parts = reference
    .slice(2)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  return parts.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document);
}

test.each([
  ['OpenAPI', open],
  ['AsyncAPI', async_],
])('%s: every reference resolves, and every shape is used', (_name, document) => {
  const references = [...new Set(referencesIn(document))];
  expect(references.filter((reference) => resolve(document, reference) === undefined)).toEqual([]);
  const shapes = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
  const isUsed = (shape: string): boolean => references.includes(shape);
  expect(shapes.filter((shape) => !isUsed(shape))).toEqual([]);
  expect(JSON.stringify(document)).not.toMatch(/\$defs|~standard|"id":"(Message|Chat|User)"|9007199254740991/);
});

test('OpenAPI: every twin is there, under its own id, with its path parameters', () => {
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { name, method, path, parameters, isAlias, operation } of twinsOf(contract)) {
    const item = open.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()];
    expect(item?.operationId).toBe(isAlias ? `${name}.alias` : name);
    const inPath = item?.parameters?.filter((parameter) => parameter.in === 'path');
    expect(inPath?.map((parameter) => parameter.name) ?? []).toEqual(parameters);
    expect(inPath?.every(({ required }) => required) ?? true).toBe(true);
    const body = item?.requestBody?.content['application/json']?.schema?.properties ?? {};
    const names = [...Object.keys(body), ...(item?.parameters ?? []).map((parameter) => parameter.name)];
    expect(names.toSorted()).toEqual(Object.keys(operation.input.shape).toSorted());
    expect(item?.responses).toHaveProperty('200');
    expect(item?.responses).toHaveProperty('default');
    expect(item?.description).toContain(operation.doc);
  }
});

test('OpenAPI: every path parameter of an address is declared', () => {
  for (const [path, methods] of Object.entries(open.paths)) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    for (const item of Object.values(methods)) {
      const declared = item.parameters?.filter((parameter) => parameter.in === 'path').map(({ name }) => name) ?? [];
      expect(declared).toEqual(named);
    }
  }
});

test('OpenAPI: security follows from the operation', () => {
  const of = (id: string) => operations.find(({ operationId }) => operationId === id)?.security;
  expect(of('chat:list')).toEqual([{ bearer: [] }]);
  expect(of('auth:login')).toEqual([]);
  expect(of('auth:refresh-token')).toEqual([{}, { bearer: [] }]);
});

test('OpenAPI: flat answers and streams are described as they are', () => {
  const of = (id: string) => operations.find(({ operationId }) => operationId === id)?.responses['200']?.content;
  expect(of('auth:login')?.['application/json']?.schema?.allOf).toHaveLength(2);
  expect(of('ai:prompt')).toHaveProperty('text/event-stream');
  expect(of('chat:get')).not.toHaveProperty('text/event-stream');
});

test('AsyncAPI: every operation is received and answered, every event sent', () => {
  const received = Object.values(async_.operations).filter(({ action }) => action === 'receive');
  const sent = Object.values(async_.operations).filter(({ action }) => action === 'send');
  expect(received.map(({ title }) => title).toSorted()).toEqual(socketNames.toSorted());
  expect(sent.map(({ title }) => title).toSorted()).toEqual(Object.keys(events).toSorted());
  for (const operation of received) {
    expect(operation.reply?.messages).toHaveLength(1);
    const answer = resolve(async_, (resolve(async_, operation.reply!.messages[0]!.$ref) as { $ref: string }).$ref);
    expect(answer).toMatchObject({ payload: { oneOf: [expect.anything(), expect.anything()] } });
  }
  const keys = [...Object.keys(async_.operations), ...Object.keys(async_.components.messages)];
  expect(keys.filter((key) => !/^[\w.-]+$/.test(key))).toEqual([]);
});

test('the text names every operation, event, shape, code, limit and rule', () => {
  const headings = new Set(text.split('\n').filter((line) => line.startsWith('### ')));
  for (const name of Object.keys(contract)) expect(headings).toContain(`### ${name}`);
  for (const name of Object.keys(events)) expect(headings).toContain(`### ${name} (event)`);
  for (const name of Object.keys(shapesOf(contract, events).components)) expect(headings).toContain(`### ${name}`);
  for (const [code, status] of Object.entries(STATUS_BY_CODE)) expect(text).toContain(`| \`${code}\` | ${status} |`);
  for (const name of Object.keys(LIMITS)) expect(text).toContain(`\`${name}\``);
  for (const id of RULES.flatMap(({ rules }) => Object.keys(rules))) expect(text).toContain(`**[${id}]**`);
});

test('a rule has one place, and one sentence or more', () => {
  const entries = RULES.flatMap(({ rules }) => Object.entries(rules));
  const ids = entries.map(([id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(entries.filter(([id, rule]) => !/^[A-Z]{2}-\d+$/.test(id) || !rule.endsWith('.'))).toEqual([]);
});

test('tables keep their columns', () => {
  const rows = text.split('\n').filter((line) => line.startsWith('|'));
  const columns = rows.map((row) => row.replaceAll('\\|', '').split('|').length);
  expect(columns.every((count) => count === 4 || count === 5)).toBe(true);
});

test('one id cannot stand for two shapes', () => {
  const base = { auth: 'user', rate: 'reads', doc: 'For tests.' } as const;
  const input = z.strictObject({ it: z.object({ a: z.string() }).meta({ id: 'Twice' }) });
  const output = z.object({ it: z.object({ b: z.string() }).meta({ id: 'Once' }) });
  const clash = operation({ ...base, input, output });
  expect(Object.keys(shapesOf({ a: clash }).components)).toEqual(['Once', 'Twice']);
  const Same = z.object({ a: z.stringbool() }).meta({ id: 'Same' });
  const differs = operation({ ...base, input: z.strictObject({ it: Same }), output: z.object({ it: Same }) });
  expect(() => shapesOf({ a: differs })).toThrow('Same');
});

test.each([
  [z.string().regex(/^[0-9a-f]{24}$/), 'id'],
  [z.iso.datetime(), 'time'],
  [z.array(z.enum(['a', 'b'])), '("a" | "b")[]'],
  [z.object({ a: z.int().optional(), b: z.boolean().nullable() }), '{ a?: integer, b: boolean | null }'],
  [z.record(z.string(), z.number()), '{ [key]: number }'],
  [z.object({}), '{}'],
  [z.literal(1), '1'],
  [z.unknown(), 'any'],
])('a type reads as people write it (%#)', (schema, expected) => {
  const events = { it: event({ data: z.object({ field: schema }), doc: 'For tests.' }) };
  expect(typeText(shapesOf({}, events).events['it']!.properties!['field']!)).toBe(expected);
});

test('bounds and defaults are told', () => {
  const it = operation({
    input: z.strictObject({
      name: z.string().min(1).max(5).meta({ description: 'A name' }),
      code: z.string().regex(/^\d+$/),
      list: z.array(z.string()).max(3).default([]),
      text: z.string().min(1),
    }),
    output: z.object({}),
    auth: 'user',
    rate: 'reads',
    doc: 'For tests.',
  });
  expect(
    fieldsOf(shapesOf({ it }).inputs['it']!).map(({ name, isRequired, note }) => [name, isRequired, note]),
  ).toEqual([
    ['name', true, 'A name; 1–5 characters'],
    ['code', true, 'matches `^\\d+$`'],
    ['list', false, 'at most 3 items; default `[]`'],
    ['text', true, 'not empty'],
  ]);
});

test('the page shows every route and escapes what it shows', () => {
  const page = docsPage(open);
  for (const path of Object.keys(open.paths)) expect(page).toContain(`<code>${path}</code>`);
  const strange = openApi(
    {
      'x:y': operation({
        input: z.strictObject({ a: z.enum(['<b>']).meta({ description: '<script>alert(1)</script>' }) }),
        output: z.object({}),
        auth: 'public',
        rate: 'reads',
        http: { route: 'POST /api/x' },
        doc: 'Says <i>this</i> & "that".',
      }),
    },
    '1',
  );
  expect(docsPage(strange)).not.toMatch(/<script|<i>|<b>/);
});
