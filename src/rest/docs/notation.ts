/** JSON Schema as people read it: `{ chatId: id, limit?: 1–100 }`. */
import { COMPONENTS, type JsonSchema } from './shapes.ts';

export interface Field {
  name: string;
  isRequired: boolean;
  type: string;
  /** Meaning and bounds. */
  note: string;
}

/** The fields of an object; none of anything else. */
export function fieldsOf(schema: JsonSchema): Field[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name,
    isRequired: required.has(name),
    type: typeText(field),
    note: noteOf(field),
  }));
}

/** A type in one line. */
export function typeText(schema: JsonSchema): string {
  if (schema.$ref !== undefined) return schema.$ref.slice(COMPONENTS.length);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map(typeText).join(' | ');
  if (Array.isArray(schema.type)) return schema.type.join(' | ');
  switch (schema.type) {
    case 'array': {
      const item = typeText(schema.items ?? {});
      return item.includes(' ') && !item.startsWith('{') ? `(${item})[]` : `${item}[]`;
    }
    case 'object':
      return objectText(schema);
    case 'string':
      if (schema.format === 'date-time') return 'time';
      return schema.pattern === '^[0-9a-f]{24}$' ? 'id' : 'string';
    case undefined:
      return 'any';
    default:
      return schema.type;
  }
}

function objectText(schema: JsonSchema): string {
  if (schema.properties) {
    const fields = fieldsOf(schema).map((field) => `${field.name}${field.isRequired ? '' : '?'}: ${field.type}`);
    return fields.length > 0 ? `{ ${fields.join(', ')} }` : '{}';
  }
  if (typeof schema.additionalProperties === 'object') return `{ [key]: ${typeText(schema.additionalProperties)} }`;
  return '{}';
}

function noteOf(schema: JsonSchema): string {
  const { minLength, maxLength, minimum, maximum, minItems, maxItems, format, pattern } = schema;
  const isPlain = typeText(schema) === 'string';
  const notes = [
    schema.description === 'An id' || schema.description === 'ISO 8601, UTC' ? '' : (schema.description ?? ''),
    minLength === 1 && maxLength === undefined ? 'not empty' : between(minLength, maxLength, 'characters'),
    between(minimum, maximum, ''),
    between(minItems, maxItems, 'items'),
    format !== undefined && format !== 'date-time' ? format : '',
    pattern !== undefined && isPlain ? `matches \`${pattern}\`` : '',
    schema.default === undefined ? '' : `default \`${JSON.stringify(schema.default)}\``,
  ];
  return notes.filter((note) => note !== '').join('; ');
}

function between(min: number | undefined, max: number | undefined, unit: string): string {
  const show = (value: number): string => value.toLocaleString('en-US');
  const range =
    min === undefined
      ? max === undefined
        ? ''
        : `at most ${show(max)}`
      : max === undefined
        ? `at least ${show(min)}`
        : `${show(min)}–${show(max)}`;
  return range === '' || unit === '' ? range : `${range} ${unit}`;
}
