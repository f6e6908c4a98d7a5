/** Shapes that several contracts share. */
import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { utf8Length } from './measure.ts';

/** An id on the wire: 24 hexadecimal digits. */
export const Id = z
  .string()
  .regex(/^[0-9a-f]{24}$/, 'must be an id of 24 hexadecimal digits')
  .meta({ description: 'An id' });

/** Chosen by the client: a retry with the same one gets the first outcome. */
export const ClientId = z
  .string()
  .min(1)
  .max(LIMITS.clientIdLength)
  .meta({ description: 'Chosen by the client; a retry with the same one gets the first outcome' });

/** ISO 8601 in UTC. */
export const Time = z.iso.datetime().meta({ description: 'ISO 8601, UTC' });

/** Text bounded by its UTF-8 size. */
export const textOf = (maxBytes: number): z.ZodString =>
  z
    .string()
    .refine((text) => utf8Length(text, maxBytes) <= maxBytes, { error: `must be at most ${maxBytes} bytes of UTF-8` })
    .meta({ description: `Text of at most ${maxBytes} bytes of UTF-8` });

/**
 * Control characters and those that turn what follows around: a name stands in sentences of others. The marks of direction
 * (U+200E, U+200F, U+061C) are none of them, and Hebrew and Arabic names need them.
 */
const NOT_IN_NAMES = /[\p{Cc}\p{Surrogate}\u202a-\u202e\u2066-\u2069]/u;
const SEEN = /[^\s\u2800\p{Default_Ignorable_Code_Point}]/u;

/** Whether anything of a text can be seen. */
export const isSeen = (text: string): boolean => SEEN.test(text);

/** What people call themselves or something of theirs; blanks around it are dropped. */
export const givenName = (minLength: number, maxLength: number): z.ZodString =>
  z
    .string()
    .trim()
    .min(minLength)
    .max(maxLength)
    .refine((name) => !NOT_IN_NAMES.test(name), {
      error: 'must not contain control characters or changes of writing direction',
    })
    .refine((name) => name === '' || isSeen(name), { error: 'must have something that can be seen' });

/** Binary data: an `ArrayBuffer` or a view of one; on this side a `Uint8Array`. */
export const Bytes = z
  .custom<Uint8Array>((value) => value instanceof Uint8Array, { error: 'must be binary data' })
  .meta({ description: 'Binary data' });

/** A position in a chat's log: `rev` counts every change, `seq` messages only. */
export const Head = z.object({ rev: z.int().min(0), seq: z.int().min(0) });

/** What a list takes. */
export const listInput = {
  limit: z.coerce.number().int().min(1).max(LIMITS.listMax).optional(),
  cursor: z.string().max(200).optional().meta({ description: 'The `next` of the page before' }),
};

/** What a list gives: `next` is null on the last page. */
export const pageOf = <T extends z.ZodType>(
  item: T,
): z.ZodObject<{ items: z.ZodArray<T>; next: z.ZodNullable<z.ZodString> }> =>
  z.object({ items: z.array(item), next: z.string().nullable() });

/** Nothing to say beyond "done". */
export const Empty = z.object({});

/** Query strings carry text: a number that came that way is read as one. */
export const wireInt = (min: number, max = Number.MAX_SAFE_INTEGER): z.ZodCoercedNumber =>
  z.coerce.number().int().min(min).max(max);
