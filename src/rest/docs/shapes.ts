/** The JSON Schemas of a contract and its events: what the documents are made of. Shapes with a `meta({ id })` are named and shared. */
import { z } from 'zod';
import type { Contract, EventMap } from '../../protocol/index.ts';

/** The part of JSON Schema (2020-12) that zod writes. */
export interface JsonSchema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  propertyNames?: JsonSchema;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
}

export interface Shapes {
  /** By operation name. */
  inputs: Record<string, JsonSchema>;
  outputs: Record<string, JsonSchema>;
  /** By event name. */
  events: Record<string, JsonSchema>;
  /** By id; referred to as `#/components/schemas/<id>`. */
  components: Record<string, JsonSchema>;
}

export const COMPONENTS = '#/components/schemas/';

/** Throws when an id stands for two different shapes. */
export function shapesOf(contract: Contract, events: EventMap = {}): Shapes {
  const names = Object.keys(contract);
  const eventNames = Object.keys(events);
  const taken = convert(Object.fromEntries(names.map((name) => [name, contract[name]!.input])), 'input');
  const given = convert(
    Object.fromEntries([
      ...names.map((name) => [`data ${name}`, contract[name]!.output]),
      ...eventNames.map((name) => [`event ${name}`, events[name]!.data]),
    ]),
    'output',
  );
  const pick = (kind: string, of: string[]): Record<string, JsonSchema> =>
    Object.fromEntries(of.map((name) => [name, given.schemas[`${kind} ${name}`]!]));
  return {
    inputs: taken.schemas,
    outputs: pick('data', names),
    events: pick('event', eventNames),
    components: merge(taken.components, given.components),
  };
}

/** All schemas in one run, so that one shape gets one name. */
function convert(
  schemas: Record<string, z.ZodType>,
  io: 'input' | 'output',
): { schemas: Record<string, JsonSchema>; components: Record<string, JsonSchema> } {
  const whole = z.toJSONSchema(z.object(schemas), {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => tidy(jsonSchema as JsonSchema & { id?: string }, io),
  }) as JsonSchema & { $defs?: Record<string, JsonSchema> };
  const definitions = whole.$defs ?? {};
  const names = new Map(Object.entries(definitions).map(([key, schema]) => [key, nameOf(key, schema)]));
  const point = (schema: JsonSchema): JsonSchema => repoint(schema, names);
  return {
    schemas: Object.fromEntries(Object.keys(schemas).map((name) => [name, point(whole.properties![name]!)])),
    components: Object.fromEntries(
      Object.entries(definitions).map(([key, schema]) => [names.get(key)!, point(schema)]),
    ),
  };
}

/** Leaves out what says nothing: bounds of a safe integer, the pattern behind a format, and that data has no other fields (it may grow). */
function tidy(schema: JsonSchema & { id?: string }, io: 'input' | 'output'): void {
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.format !== undefined) delete schema.pattern;
  if (io === 'output' && schema.additionalProperties === false) delete schema.additionalProperties;
}

/** zod numbers shapes that refer to themselves and have no id; ours are `z.json()`. */
function nameOf(key: string, schema: JsonSchema): string {
  if (!key.startsWith('__')) return key;
  const types = schema.anyOf?.map((option) => option.type).join(' ');
  if (types !== 'string number boolean null array object') throw new Error(`A recursive shape needs an id: ${key}`);
  return 'Json';
}

/** A copy whose references point to the components under their names. */
function repoint(schema: JsonSchema, names: Map<string, string>): JsonSchema {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) => {
    if (key !== '$ref' || typeof value !== 'string') return value;
    const target = value.replace('#/$defs/', '');
    return `${COMPONENTS}${names.get(target) ?? target}`;
  }) as JsonSchema;
}

function merge(a: Record<string, JsonSchema>, b: Record<string, JsonSchema>): Record<string, JsonSchema> {
  for (const name of Object.keys(a)) {
    if (b[name] && JSON.stringify(a[name]) !== JSON.stringify(b[name])) {
      throw new Error(`The id ${name} stands for two shapes`);
    }
  }
  const all = { ...a, ...b };
  return Object.fromEntries(Object.entries(all).sort(([x], [y]) => (x < y ? -1 : 1)));
}
