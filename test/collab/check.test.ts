/** The fuzz is worth something only if its checker sees what goes wrong. */
import { expect, test } from 'vitest';
import * as Y from 'yjs';
import { oneOf, randomOf, shuffled } from '../support/random.ts';
import { contentOf, differences, Ledger } from './check.ts';
import { Typing } from './edits.ts';

/** Editors that hear each other late and in another order. */
function coEdit(seed: number, edits: number): Map<string, Y.Doc> {
  const random = randomOf(seed);
  const editors = ['a', 'b', 'c', 'd'].map((name, n) => {
    const doc = new Y.Doc();
    doc.clientID = 1_000 * seed + n;
    const inbox: Uint8Array[] = [];
    return { name, doc, inbox, typing: new Typing(name, random) };
  });
  for (const { doc } of editors) {
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== 'wire') for (const other of editors) if (other.doc !== doc) other.inbox.push(update);
    });
  }
  const receive = ({ doc, inbox }: (typeof editors)[0]): void => {
    for (const update of shuffled(random, inbox.splice(0))) Y.applyUpdate(doc, update, 'wire');
  };
  for (let n = 0; n < edits; n++) {
    const editor = oneOf(random, editors);
    if (random(5) === 0) receive(editor);
    editor.typing.edit(editor.doc.getText('content'));
  }
  for (const editor of editors) receive(editor);
  return new Map(editors.map(({ name, doc }) => [name, doc]));
}

function copyOf(doc: Y.Doc): Y.Doc {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  return copy;
}

test('editors that have heard everything are the same to the byte, whatever the order was', () => {
  for (let seed = 1; seed <= 20; seed++) {
    expect(differences(coEdit(seed, 300)), `seed ${seed}`).toEqual([]);
  }
});

test('the same seed makes the same edits', () => {
  const [one, other] = [coEdit(7, 100), coEdit(7, 100)].map((docs) => contentOf(docs.get('a') as Y.Doc));
  expect(one).toBe(other);
});

test('a lost insertion, a lost deletion and a doubled text are seen', () => {
  const whole = coEdit(3, 100).get('a') as Y.Doc;
  const ahead = copyOf(whole);
  ahead.getText('content').insert(0, 'new');
  expect(
    differences(
      new Map([
        ['one', whole],
        ['two', ahead],
      ]),
    ).join(),
  ).toMatch(/part at 0.*client \d+ is at/s);

  const cut = copyOf(whole);
  cut.getText('content').delete(3, 5);
  expect(
    differences(
      new Map([
        ['one', whole],
        ['two', cut],
      ]),
    ).join(),
  ).toMatch(/texts of/);

  const doubled = copyOf(whole);
  const [first, second] = [new Y.Doc(), new Y.Doc()];
  for (const doc of [first, second]) doc.getText('content').insert(0, 'initial');
  for (const doc of [first, second]) Y.applyUpdate(doubled, Y.encodeStateAsUpdate(doc));
  expect(contentOf(doubled).split('initial')).toHaveLength(3);
  expect(
    differences(
      new Map([
        ['one', whole],
        ['two', doubled],
      ]),
    ),
  ).not.toEqual([]);
});

test('what was told to be saved is missed where it is gone', () => {
  const doc = copyOf(coEdit(4, 100).get('b') as Y.Doc);
  const before = copyOf(doc);
  const ledger = new Ledger();
  ledger.saved('b', doc);
  doc.getText('content').delete(0, 4);
  const between = copyOf(doc);
  ledger.saved('b', doc);
  doc.getText('content').insert(0, 'kept');
  ledger.saved('b', doc);

  expect(ledger.missing(doc)).toEqual([]);
  expect(ledger.missing(between)).toEqual([expect.stringMatching(/b was told that client \d+ reaches 4/)]);
  expect(ledger.missing(before).join()).toMatch(/is deleted, but it is not/);
});

test('what an editor has not got saved itself is not vouched for', () => {
  const doc = copyOf(coEdit(5, 50).get('a') as Y.Doc);
  const before = copyOf(doc);
  doc.getText('content').insert(0, 'mine');
  const ledger = new Ledger();
  ledger.seen('a', doc);
  expect(ledger.missing(before)).toEqual([]);
});
