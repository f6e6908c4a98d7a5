/** Who is in a document: one hub per document on each node, clients and nodes that behave, and some that do not. */
import { createEncoder, toUint8Array, writeVarString, writeVarUint } from 'lib0/encoding';
import * as fc from 'fast-check';
import { applyAwarenessUpdate, Awareness as StockAwareness, encodeAwarenessUpdate } from 'y-protocols/awareness';
import { expect, onTestFinished, test } from 'vitest';
import * as Y from 'yjs';
import {
  readAwareness,
  readNotice,
  writeAwareness,
  writeNotice,
  type AwarenessNotice,
} from '../../../src/features/documents/awareness-codec.ts';
import { AwarenessHub } from '../../../src/features/documents/awareness-hub.ts';
import { LIMITS } from '../../../src/protocol/index.ts';

const ADA = 'a'.repeat(24);
const GRACE = 'b'.repeat(24);
const SILENCE_MS = LIMITS.awarenessTimeoutMs + 1;

interface TestHub {
  hub: AwarenessHub;
  /** Updates for everybody, and whom they are about. */
  sent: { states: Record<number, string | undefined>; clients: string }[];
  told: AwarenessNotice[];
  /** What everybody here sees now. */
  seen: () => Record<number, unknown>;
}

let nowMs = 0;

function createHub(nodeId = 'here'): TestHub {
  const sent: TestHub['sent'] = [];
  const told: AwarenessNotice[] = [];
  const watcher = stock();
  const hub = new AwarenessHub({
    nodeId,
    now: () => nowMs,
    send(update, clients) {
      applyAwarenessUpdate(watcher, update, 'test');
      const states = readAwareness(update).map(({ clientId, json }) => [clientId, Buffer.from(json).toString()]);
      sent.push({ states: Object.fromEntries(states), clients });
    },
    tell: (notice) => told.push(readNotice(writeNotice(notice))),
  });
  onTestFinished(() => hub.close());
  return { hub, sent, told, seen: () => Object.fromEntries(watcher.getStates()) };
}

/** A client of y-protocols' own, without a state of its own. */
function stock(): StockAwareness {
  const doc = new Y.Doc();
  const awareness = new StockAwareness(doc);
  awareness.setLocalState(null);
  onTestFinished(() => awareness.destroy());
  return awareness;
}

const says = (clientId: number, clock: number, state: unknown): Uint8Array =>
  writeAwareness([{ clientId, clock, state: state === null ? undefined : JSON.stringify(state) }]);

/** What a client could send with a library of its own making. */
function raw(entries: readonly [clientId: number, clock: number, json: string][], count = entries.length): Uint8Array {
  const encoder = createEncoder();
  writeVarUint(encoder, count);
  for (const [clientId, clock, json] of entries) {
    writeVarUint(encoder, clientId);
    writeVarUint(encoder, clock);
    writeVarString(encoder, json);
  }
  return toUint8Array(encoder);
}

test('[DC-30] what is new goes to everybody, once for all of a turn; what is not goes to nobody', () => {
  const { hub, sent, seen } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  hub.join({ connectionId: 'grace', userId: GRACE });
  hub.apply('ada', says(1, 1, { at: 1 }));
  hub.apply('ada', says(1, 2, { at: 2 }));
  hub.apply('grace', says(2, 1, { at: 9 }));
  hub.flush();
  expect(sent).toEqual([{ states: { 1: '{"at":2}', 2: '{"at":9}' }, clients: '1,2' }]);
  expect(seen()).toEqual({ 1: { at: 2 }, 2: { at: 9 } });
  // As stock providers send back what they hear.
  expect(hub.apply('grace', says(1, 2, { at: 2 }))).toEqual({ isNews: false, fits: true });
  expect(hub.apply('ada', says(1, 1, { at: 1 }))).toEqual({ isNews: false, fits: true });
  hub.flush();
  expect(sent.length).toBe(1);
});

test('[DC-31] nobody speaks for the client of another user, and nobody is told of it', () => {
  const { hub, sent } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  hub.join({ connectionId: 'grace', userId: GRACE });
  hub.apply('ada', says(1, 5, { name: 'Ada' }));
  hub.flush();
  hub.apply('grace', says(1, 6, { name: 'not Ada' }));
  hub.apply('grace', says(1, 7, null));
  hub.flush();
  expect(sent.length).toBe(1);
  // Nor when she has left, for a while: an echo of what she said would bring her back.
  hub.leave('ada');
  hub.flush();
  expect(sent[1]).toEqual({ states: { 1: 'null' }, clients: '1' });
  hub.apply('grace', says(1, 9, { name: 'not Ada' }));
  hub.flush();
  expect(sent.length).toBe(2);
  expect(hub.present()).toBeUndefined();
});

test('[DC-31] a client moves to another connection of its user, and does not end with the old one', () => {
  const { hub, seen } = createHub();
  hub.join({ connectionId: 'old', userId: ADA });
  hub.apply('old', says(1, 3, { at: 3 }));
  // After a silent cut it comes back before the old connection is known to be dead, with what it said before.
  hub.join({ connectionId: 'new', userId: ADA });
  hub.apply('new', says(1, 3, { at: 3 }));
  hub.leave('old');
  hub.flush();
  expect(seen()).toEqual({ 1: { at: 3 } });
  hub.apply('new', says(1, 4, { at: 4 }));
  hub.flush();
  expect(seen()).toEqual({ 1: { at: 4 } });
  hub.leave('new');
  hub.flush();
  expect(seen()).toEqual({});
});

test('[DC-31] another tab of the same user that sends back what it hears does not take a client over', () => {
  const { hub, seen } = createHub();
  hub.join({ connectionId: 'one', userId: ADA });
  hub.join({ connectionId: 'two', userId: ADA });
  hub.apply('one', says(1, 3, { at: 3 }));
  hub.apply('two', says(2, 1, { at: 1 }));
  hub.apply('two', says(1, 3, { at: 3 }));
  hub.leave('one');
  hub.flush();
  hub.apply('two', says(1, 3, { at: 3 }));
  hub.flush();
  expect(seen()).toEqual({ 2: { at: 1 } });
});

test('[DC-31] a client that was gone comes back with what it said before, for those who come now', () => {
  const { hub } = createHub();
  hub.join({ connectionId: 'watcher', userId: GRACE });
  hub.join({ connectionId: 'old', userId: ADA });
  hub.apply('old', says(1, 3, { at: 3 }));
  hub.leave('old');
  hub.flush();
  hub.join({ connectionId: 'new', userId: ADA });
  hub.apply('new', says(1, 3, { at: 3 }));
  const fresh = stock();
  applyAwarenessUpdate(fresh, hub.present() ?? new Uint8Array(), 'test');
  expect(fresh.getStates().get(1)).toEqual({ at: 3 });
});

test('[DC-32] who says nothing for the time given is gone, and is forgotten after as long again', () => {
  const { hub, seen, told } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  hub.join({ connectionId: 'grace', userId: GRACE });
  hub.apply('ada', says(1, 1, { at: 1 }));
  hub.apply('grace', says(2, 1, { at: 1 }));
  hub.flush();
  nowMs += LIMITS.awarenessTimeoutMs / 2;
  hub.apply('grace', says(2, 2, { at: 1 }));
  hub.flush();
  nowMs += LIMITS.awarenessTimeoutMs / 2 + 1;
  hub.sweep();
  hub.flush();
  expect(seen()).toEqual({ 2: { at: 1 } });
  // Every node finds that out by itself.
  expect(told.at(-1)?.entries.map(({ clientId }) => clientId)).toEqual([2]);
  nowMs += SILENCE_MS;
  hub.sweep();
  hub.flush();
  nowMs += SILENCE_MS;
  hub.sweep();
  hub.apply('grace', says(1, 1, { name: 'a client id is free again' }));
  hub.flush();
  expect(hub.present()).toBeDefined();
});

test('[DC-32] a client takes itself back', () => {
  const { hub, seen } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  hub.apply('ada', says(1, 1, { at: 1 }));
  hub.flush();
  hub.apply('ada', says(1, 2, null));
  hub.flush();
  expect(seen()).toEqual({});
  expect(hub.present()).toBeUndefined();
  hub.apply('ada', says(1, 3, { at: 3 }));
  hub.flush();
  expect(seen()).toEqual({ 1: { at: 3 } });
});

test('[DC-33] all states of a document have a limit, and what a connection speaks for has one', () => {
  const { hub } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  const large = { text: 'x'.repeat(LIMITS.awarenessBytes / 2) };
  expect(hub.apply('ada', says(1, 1, large))).toEqual({ isNews: true, fits: true });
  expect(hub.apply('ada', says(2, 1, large))).toEqual({ isNews: false, fits: false });
  // In place of what it had.
  expect(hub.apply('ada', says(1, 2, large))).toEqual({ isNews: true, fits: true });
  for (let clientId = 2; clientId <= LIMITS.awarenessClientsPerConnection; clientId++) {
    expect(hub.apply('ada', says(clientId, 1, {})).fits).toBe(true);
  }
  expect(hub.apply('ada', says(9_999, 1, {})).fits).toBe(false);
  hub.flush();
  expect((hub.present() ?? []).length).toBeLessThan(LIMITS.awarenessBytes);
  // Clients that come and go under ever new ids do not grow it either.
  for (let n = 0; n < 10_000; n++) {
    hub.join({ connectionId: `${n}`, userId: GRACE });
    hub.apply(`${n}`, says(10_000 + n, 1, {}));
    hub.leave(`${n}`);
  }
  expect(hub.everything().length).toBeLessThan(LIMITS.awarenessBytes);
});

test.each([
  ['a count without entries', raw([], 0xffff_ffff)],
  ['a count beyond all numbers', new Uint8Array(10).fill(0xff)],
  ['half an entry', raw([[1, 1, '{}']]).slice(0, 3)],
  ['a text that is longer than the message', new Uint8Array([1, 1, 1, 100, 123])],
])('[DC-34] %s is invalid', (_what, update) => {
  const { hub, sent } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  expect(() => hub.apply('ada', update)).toThrow(expect.objectContaining({ code: 'invalid' }));
  hub.flush();
  expect(sent).toEqual([]);
});

test.each<[string, [number, number, string]]>([
  ['a state that is no JSON', [1, 1, '{"at":']],
  ['a state that is no object', [1, 1, '"text"']],
  ['a list', [1, 1, '[]']],
  ['a state that is nested too deep', [1, 1, '{"a":'.repeat(5_000) + '1' + '}'.repeat(5_000)]],
  ['a clock that no client reaches', [1, 2 ** 40, '{}']],
  ['a client id that no client has', [2 ** 40, 1, '{}']],
])('[DC-34] %s is left out, and what stands beside it is taken', (_what, entry) => {
  const { hub, sent } = createHub();
  hub.join({ connectionId: 'ada', userId: ADA });
  hub.apply('ada', raw([entry, [7, 1, '{"at":7}']]));
  hub.flush();
  expect(sent).toEqual([{ states: { 7: '{"at":7}' }, clients: '7' }]);
});

test('[DC-34] whatever bytes come, nothing breaks, and what goes out is what stock clients understand', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 64 }),
          fc
            .array(fc.tuple(fc.nat(3), fc.nat(5), fc.oneof(fc.json(), fc.constant('null'), fc.string())), {
              maxLength: 4,
            })
            .map((entries) => raw(entries)),
        ),
        { maxLength: 20 },
      ),
      (updates) => {
        const { hub, seen } = createHub();
        hub.join({ connectionId: 'ada', userId: ADA });
        for (const update of updates) {
          let error: unknown = { code: 'invalid' };
          try {
            hub.apply('ada', update);
          } catch (thrown) {
            error = thrown;
          }
          expect(error).toMatchObject({ code: 'invalid' });
          hub.flush();
        }
        for (const state of Object.values(seen())) expect(typeof state).toBe('object');
      },
    ),
    { numRuns: 200 },
  );
});

test('[DC-35] nodes see the same clients: who comes, moves and goes, and who was there before', () => {
  const [here, there] = [createHub('here'), createHub('there')];
  const exchange = (): void => {
    for (let n = 0; n < 3; n++) {
      for (const { hub } of [here, there]) hub.flush();
      for (const notice of here.told.splice(0)) there.hub.hear(notice);
      for (const notice of there.told.splice(0)) here.hub.hear(notice);
    }
  };
  here.hub.join({ connectionId: 'ada', userId: ADA });
  here.hub.apply('ada', says(1, 1, { at: 1 }));
  here.hub.flush();
  here.told.length = 0;
  // Opened later, it asks.
  there.hub.join({ connectionId: 'grace', userId: GRACE });
  there.hub.ask();
  there.hub.apply('grace', says(2, 1, { at: 2 }));
  exchange();
  for (const { seen } of [here, there]) expect(seen()).toEqual({ 1: { at: 1 }, 2: { at: 2 } });
  // Nobody speaks for her on the other node either.
  there.hub.apply('grace', says(1, 9, { at: 9 }));
  exchange();
  expect(here.seen()).toEqual({ 1: { at: 1 }, 2: { at: 2 } });
  // Ada's client comes back on the other node, and then its old connection ends.
  there.hub.join({ connectionId: 'ada again', userId: ADA });
  there.hub.apply('ada again', says(1, 1, { at: 1 }));
  exchange();
  here.hub.leave('ada');
  exchange();
  for (const { seen } of [here, there]) expect(seen()).toEqual({ 1: { at: 1 }, 2: { at: 2 } });
  there.hub.apply('ada again', says(1, 2, { at: 3 }));
  there.hub.leave('grace');
  exchange();
  for (const { seen } of [here, there]) expect(seen()).toEqual({ 1: { at: 3 } });
  // A node dies without a word.
  here.hub.nodeDied('there');
  here.hub.flush();
  expect(here.seen()).toEqual({});
});

test('[DC-35] a client that leaves one node as it comes back on the other stays', () => {
  const [here, there] = [createHub('here'), createHub('there')];
  here.hub.join({ connectionId: 'old', userId: ADA });
  here.hub.apply('old', says(1, 1, { at: 1 }));
  here.hub.flush();
  for (const notice of here.told.splice(0)) there.hub.hear(notice);
  // The two notices cross.
  here.hub.leave('old');
  there.hub.join({ connectionId: 'new', userId: ADA });
  there.hub.apply('new', says(1, 1, { at: 1 }));
  for (const { hub } of [here, there]) hub.flush();
  for (const notice of here.told.splice(0)) there.hub.hear(notice);
  for (const notice of there.told.splice(0)) here.hub.hear(notice);
  for (const { hub } of [here, there]) {
    const fresh = stock();
    applyAwarenessUpdate(fresh, hub.present() ?? new Uint8Array([0]), 'test');
    expect(Object.fromEntries(fresh.getStates())).toEqual({ 1: { at: 1 } });
  }
});

test('what stock clients write is read, and what is written they read', () => {
  const awareness = stock();
  awareness.setLocalState({ name: 'Ada', cursor: { anchor: 1 } });
  const update = encodeAwarenessUpdate(awareness, [awareness.clientID]);
  const [entry] = readAwareness(update);
  expect(entry).toMatchObject({ clientId: awareness.clientID, clock: 2 });
  const state = Buffer.from(entry?.json ?? []).toString();
  expect(writeAwareness([{ clientId: awareness.clientID, clock: 2, state }])).toEqual(update);
});
