/** Seeded edits, as people make them: a few words, a cut, a paste over something. Surrogate pairs stay whole. */
import type * as Y from 'yjs';
import { oneOf, type Random } from '../support/random.ts';

/** Words that only one editor writes: what is lost or doubled can be named. */
export class Typing {
  readonly #name: string;
  readonly #random: Random;
  #n = 0;

  constructor(name: string, random: Random) {
    this.#name = name;
    this.#random = random;
  }

  /** One edit, in one transaction. */
  edit(text: Y.Text): void {
    const random = this.#random;
    const content = text.toJSON();
    const what = random(100);
    const at = whole(content, random(content.length + 1));
    const end = whole(content, Math.min(content.length, at + 1 + random(what < 95 ? 12 : 200)));
    if (what < 60 || content.length === 0) text.insert(at, this.#words());
    else if (what < 85) text.delete(at, end - at);
    else {
      text.doc?.transact(() => {
        text.delete(at, end - at);
        text.insert(at, this.#words());
      });
    }
  }

  #words(): string {
    const plain = `${this.#name}.${this.#n++} `;
    return this.#random(6) === 0 ? plain + oneOf(this.#random, MORE) : plain;
  }
}

const MORE = ['\n', '\r\n', '\u{1f469}\u{200d}\u{1f4bb}', 'äöü', 'e\u0301', '\t', '漢字', 'x'.repeat(300)];

/** The same place, or the one before it if that would part a surrogate pair. */
function whole(content: string, at: number): number {
  const code = content.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff && at > 0 ? at - 1 : at;
}
