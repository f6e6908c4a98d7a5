/** Rewrites a text that is too long to be held, piece by piece. */
import { Transform } from 'node:stream';

/** A piece without the mark is not waited for any longer than this. */
const LONGEST = 1_048_576;

/** `mark`: a character that stands nowhere within what is to be replaced, but may begin or end it. */
export function rewriting(mark: string, rewrite: (text: string) => string): Transform {
  let held = '';
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      held += chunk.toString('latin1');
      const end = held.length > LONGEST ? held.length : Math.max(held.lastIndexOf(mark), 0);
      const whole = held.slice(0, end);
      held = held.slice(end);
      done(null, Buffer.from(rewrite(whole), 'latin1'));
    },
    flush(done) {
      done(null, Buffer.from(rewrite(held), 'latin1'));
    },
  });
}
