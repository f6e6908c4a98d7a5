/** Strict reading of payloads: each reader takes all of what is there, in the shape that is asked for, or throws `message`. */
import { ProtocolError } from './protocol-error.ts';

const TEXT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const wrong = (what: string): ProtocolError => new ProtocolError('message', what);

/** Reads a payload of binary fields from its start. */
export class PayloadReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A position: at most 2^53 - 1. */
  u64(): number {
    const value = this.#view.getBigUint64(this.#take(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong('A position that cannot be');
    return Number(value);
  }

  /** Everything that is left, which is so much. */
  rest(minBytes: number, maxBytes: number): Uint8Array {
    const rest = this.#bytes.subarray(this.#at);
    if (rest.length < minBytes || rest.length > maxBytes) throw wrong(`${rest.length} bytes of data`);
    this.#at = this.#bytes.length;
    return rest;
  }

  /** Nothing is left. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw wrong('More than the message has');
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw wrong('Less than the message has');
    return at;
  }
}

/** Numbers, each in so many bytes, and then `data`, as a payload. */
export function pack(
  fields: readonly (readonly [value: number, bytes: 1 | 2 | 4 | 8])[],
  data?: Uint8Array,
): Uint8Array {
  const size = fields.reduce((sum, [, bytes]) => sum + bytes, 0);
  const payload = new Uint8Array(size + (data?.length ?? 0));
  const view = new DataView(payload.buffer);
  let at = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 1) view.setUint8(at, value);
    else if (bytes === 2) view.setUint16(at, value);
    else if (bytes === 4) view.setUint32(at, value);
    else view.setBigUint64(at, BigInt(value));
    at += bytes;
  }
  if (data) payload.set(data, at);
  return payload;
}

export const packJson = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** Reads a value that came as JSON; `where` names it. */
export type Read<T> = (value: unknown, where: string) => T;

export function parseJson<T>(payload: Uint8Array, read: Read<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(TEXT.decode(payload));
  } catch {
    throw wrong('No JSON');
  }
  return read(value, 'the message');
}

export const text =
  (minLength: number, maxLength: number): Read<string> =>
  (value, where) => {
    if (typeof value === 'string' && value.length >= minLength && value.length <= maxLength) return value;
    throw wrong(`${where} is no text of ${minLength} to ${maxLength} characters`);
  };

export const integer =
  (least: number, most: number): Read<number> =>
  (value, where) => {
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw wrong(`${where} is no whole number from ${least} to ${most}`);
  };

export const oneOf =
  <const T extends string>(values: readonly T[]): Read<T> =>
  (value, where) => {
    if (values.includes(value as T)) return value as T;
    throw wrong(`${where} is none of ${values.join(', ')}`);
  };

export const listOf =
  <T>(read: Read<T>, maxLength: number): Read<T[]> =>
  (value, where) => {
    if (!Array.isArray(value) || value.length > maxLength) throw wrong(`${where} is no list of at most ${maxLength}`);
    return value.map((item, index) => read(item, `${where}[${index}]`));
  };

/** Names to texts, as an environment has them. */
export const textsByName =
  (maxCount: number): Read<Record<string, string>> =>
  (value, where) => {
    const entries = Object.entries(plainObject(value, where));
    if (entries.length > maxCount) throw wrong(`${where} has more than ${maxCount}`);
    if (!entries.every(([, item]) => typeof item === 'string')) throw wrong(`${where} has something but text`);
    return Object.fromEntries(entries) as Record<string, string>;
  };

export const optional =
  <T>(read: Read<T>): Read<T | undefined> =>
  (value, where) =>
    value === undefined ? undefined : read(value, where);

/** An object with these keys and no others; those whose reader gives undefined are left out. */
export const record =
  <T extends object>(shape: { [K in keyof T]-?: Read<T[K]> }): Read<T> =>
  (value, where) => {
    const given = plainObject(value, where);
    const unknown = Object.keys(given).find((key) => !Object.hasOwn(shape, key));
    if (unknown !== undefined) throw wrong(`${where} has ${JSON.stringify(unknown.slice(0, 40))}`);
    const result: Record<string, unknown> = {};
    for (const [key, read] of Object.entries<Read<unknown>>(shape)) {
      const item = read(Object.hasOwn(given, key) ? given[key] : undefined, `${where}.${key}`);
      if (item !== undefined) result[key] = item;
    }
    return result as T;
  };

function plainObject(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw wrong(`${where} is no object`);
}
