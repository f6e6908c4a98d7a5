/** The SDK's events: typed, and safe from listeners that throw. */
import { expect, test, vi } from 'vitest';
import { Emitter } from '../../src/client/emitter.ts';

interface Events {
  number: number;
  word: string;
}

test('[SD-6] a listener that throws stops neither the others nor the caller; its error surfaces uncaught', () => {
  const later = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => {});
  try {
    const events = new Emitter<Events>();
    const heard: number[] = [];
    events.on('number', () => {
      throw new Error('of a listener');
    });
    events.on('number', (value) => heard.push(value));
    events.emit('number', 1);
    expect(heard).toEqual([1]);
    expect(later.mock.calls[0]?.[0]).toThrow('of a listener');
  } finally {
    later.mockRestore();
  }
});

test('[SD-6] a listener that was taken off hears nothing more, also from the event under way', () => {
  const events = new Emitter<Events>();
  const heard: string[] = [];
  const listener = (word: string): void => void heard.push(word);
  const offs: (() => void)[] = [];
  events.on('word', () => offs[0]?.());
  offs.push(events.on('word', listener));
  const other = events.on('word', listener);
  events.emit('word', 'a');
  other();
  events.emit('word', 'b');
  expect(heard).toEqual(['a']);
});

test('[SD-6] once waits for the event that fits, or rejects in time or at the end', async () => {
  const events = new Emitter<Events>();
  const three = events.once('number', (value) => value === 3, 1_000);
  events.emit('number', 2);
  events.emit('number', 3);
  events.emit('number', 3);
  expect(await three).toBe(3);
  await expect(events.once('number', () => true, 1)).rejects.toMatchObject({ code: 'timeout' });
  const ended = events.once('number', () => true, Infinity);
  events.clear(new Error('closed'));
  await expect(ended).rejects.toThrow('closed');
});
