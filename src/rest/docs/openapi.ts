/** The HTTP side as an OpenAPI 3.1 document. */
import { LIMITS, STATUS_BY_CODE, type Contract } from '../../protocol/index.ts';
import { takesBody, twinsOf, type Twin } from '../twins.ts';
import { OTHER_ROUTES, type OtherRoute } from './other-routes.ts';
import { shapesOf, type JsonSchema, type Shapes } from './shapes.ts';

export interface OpenApiParameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  schema: JsonSchema;
  description?: string;
}

export interface OpenApiMedia {
  schema?: JsonSchema;
}

export interface OpenApiResponse {
  $ref?: string;
  description?: string;
  content?: Record<string, OpenApiMedia>;
}

export interface OpenApiOperation {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  security: Record<string, string[]>[];
  parameters?: OpenApiParameter[];
  requestBody?: { required: boolean; content: Record<string, OpenApiMedia> };
  responses: Record<string, OpenApiResponse>;
}

export interface OpenApiDocument {
  openapi: '3.1.0';
  info: { title: string; version: string; description: string };
  servers: { url: string }[];
  tags: { name: string }[];
  paths: Record<string, Record<string, OpenApiOperation>>;
  components: {
    schemas: Record<string, JsonSchema>;
    responses: Record<string, OpenApiResponse>;
    securitySchemes: Record<string, unknown>;
  };
}

const BEARER = [{ bearer: [] }];
const ERROR = { default: { $ref: '#/components/responses/Error' } };

export function openApi(contract: Contract, version: string): OpenApiDocument {
  const shapes = shapesOf(contract);
  const paths: OpenApiDocument['paths'] = {};
  for (const twin of twinsOf(contract)) {
    const path = twin.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[twin.method.toLowerCase()] = operationOf(twin, shapes);
  }
  for (const route of OTHER_ROUTES) (paths[route.path] ??= {})[route.method] = otherOf(route);
  const tags = Object.values(paths).flatMap((methods) => Object.values(methods).flatMap((item) => item.tags));
  return {
    openapi: '3.1.0',
    info: {
      title: 'Atelier over HTTP',
      version,
      description:
        'Each operation that has a route here is also an event on the socket (unless it says HTTP only), with the same input and data. See protocol.md for the rules.',
    },
    servers: [{ url: '/' }],
    tags: [...new Set(tags)].sort().map((name) => ({ name })),
    paths: Object.fromEntries(Object.entries(paths).sort(([a], [b]) => (a < b ? -1 : 1))),
    components: {
      schemas: { ...usedIn(paths, shapes.components), Error: errorShape() },
      responses: {
        Error: {
          description: 'Refused or failed; the status follows from the code',
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
        },
      },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'An access token' } },
    },
  };
}

/** The shapes that the paths name, directly or through others: some are the socket's alone. */
function usedIn(paths: OpenApiDocument['paths'], components: Shapes['components']): Shapes['components'] {
  const used = new Set<string>();
  const visit = (part: unknown): void => {
    for (const [, name] of JSON.stringify(part).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) {
      const schema = components[name as string];
      if (schema === undefined || used.has(name as string)) continue;
      used.add(name as string);
      visit(schema);
    }
  };
  visit(paths);
  return Object.fromEntries(Object.entries(components).filter(([name]) => used.has(name)));
}

function operationOf(twin: Twin, shapes: Shapes): OpenApiOperation {
  const { name, operation, http, parameters: inPath, isAlias } = twin;
  const input = shapes.inputs[name] as JsonSchema;
  const rest = Object.entries(input.properties ?? {}).filter(([field]) => !inPath.includes(field));
  const required = new Set(input.required);
  const inQuery = takesBody(twin.method) ? [] : rest;
  const parameters: OpenApiParameter[] = [
    ...inPath.map((field) => parameter(field, 'path', true, input.properties?.[field] ?? { type: 'string' })),
    ...inQuery.map(([field, schema]) => parameter(field, 'query', required.has(field), schema)),
  ];
  const maxBytes = http.maxBytes ?? operation.maxBytes ?? LIMITS.operationBytes;
  const notes = [
    http.only ? 'HTTP only.' : '',
    http.stream ? 'With `Accept: text/event-stream` the stream itself is the answer.' : '',
    `Input of at most ${maxBytes.toLocaleString('en-US')} bytes.`,
  ];
  return {
    operationId: isAlias ? `${name}.alias` : name,
    tags: [name.slice(0, name.indexOf(':'))],
    summary: isAlias ? `${name} (second path)` : name,
    description: [operation.doc, ...notes].filter((text) => text !== '').join(' '),
    security: operation.auth !== 'public' ? BEARER : http.bearer === undefined ? [] : [{}, ...BEARER],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(takesBody(twin.method) && rest.length > 0 ? { requestBody: bodyOf(rest, required, http.bearer) } : {}),
    responses: { 200: success(shapes.outputs[name] as JsonSchema, http), ...ERROR },
  };
}

function parameter(
  name: string,
  place: OpenApiParameter['in'],
  required: boolean,
  schema: JsonSchema,
): OpenApiParameter {
  const { description, ...plain } = schema;
  return { name, in: place, required, schema: plain, ...(description === undefined ? {} : { description }) };
}

function bodyOf(
  fields: [string, JsonSchema][],
  required: Set<string>,
  bearer: string | undefined,
): NonNullable<OpenApiOperation['requestBody']> {
  const needed = fields.map(([field]) => field).filter((field) => required.has(field) && field !== bearer);
  const schema: JsonSchema = {
    type: 'object',
    properties: Object.fromEntries(fields),
    ...(needed.length > 0 ? { required: needed } : {}),
    additionalProperties: false,
  };
  return { required: needed.length > 0, content: { 'application/json': { schema } } };
}

function success(data: JsonSchema, http: Twin['http']): OpenApiResponse {
  const envelope: JsonSchema = {
    type: 'object',
    properties: { type: { const: 'success' }, message: { type: 'string' }, data },
    required: ['type', 'message', 'data'],
  };
  const schema = http.flat ? { allOf: [envelope, data] } : envelope;
  return {
    description: http.flat ? "Done; data's fields are at the top level too" : 'Done',
    content: {
      'application/json': { schema },
      ...(http.stream ? { 'text/event-stream': { schema: { type: 'string' } } } : {}),
    },
  };
}

function errorShape(): JsonSchema {
  return {
    type: 'object',
    properties: {
      type: { const: 'error' },
      message: { type: 'string' },
      error: {
        type: 'object',
        properties: {
          code: { type: 'string', enum: Object.keys(STATUS_BY_CODE) },
          message: { type: 'string' },
          detail: { description: 'Of `invalid`: a list of { path, message }' },
          retryAfterMs: { type: 'integer', minimum: 0 },
        },
        required: ['code', 'message'],
      },
    },
    required: ['type', 'message', 'error'],
  };
}

function otherOf(route: OtherRoute): OpenApiOperation {
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    description: route.doc,
    security: route.isUser === undefined ? [] : route.isUser === true ? BEARER : [{}, ...BEARER],
    ...(route.parameters
      ? {
          parameters: route.parameters.map(({ name, in: place, doc }) =>
            parameter(name, place, place === 'path', { type: 'string', description: doc }),
          ),
        }
      : {}),
    ...(route.form ? { requestBody: formBodyOf(route.form) } : {}),
    responses: {
      ...Object.fromEntries(
        route.answers.map(({ status, contentType, doc }) => [
          status,
          { description: doc, ...(contentType ? { content: { [contentType]: {} } } : {}) },
        ]),
      ),
      ...ERROR,
    },
  };
}

function formBodyOf(form: NonNullable<OtherRoute['form']>): NonNullable<OpenApiOperation['requestBody']> {
  const schema: JsonSchema = {
    type: 'object',
    properties: Object.fromEntries(
      form.map(({ name, isFile, doc }) => [
        name,
        { type: 'string', ...(isFile ? { format: 'binary' } : {}), description: doc },
      ]),
    ),
    required: form.filter(({ isRequired }) => isRequired).map(({ name }) => name),
  };
  return { required: true, content: { 'multipart/form-data': { schema } } };
}
