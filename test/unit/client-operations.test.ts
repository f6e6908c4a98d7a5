/** Which operations the SDK may send twice, compared with the server's contract. */
import { expect, test } from 'vitest';
import { isRepeatable, withClientId } from '../../src/client/operations.ts';
import { contract } from '../../src/features/registry.ts';

const ofSocket = Object.entries(contract).filter(([, operation]) => operation.auth !== 'public');

test('[SD-5] every operation that reads may be sent twice', () => {
  const reads = ofSocket.filter(([, operation]) => operation.rate === 'reads').map(([name]) => name);
  expect(reads.filter((name) => !isRepeatable(name, {}))).toEqual([]);
});

test('[SD-5] every operation that takes a clientId gets one, a given one is kept', () => {
  const creating = ofSocket.filter(([, operation]) => 'clientId' in operation.input.shape).map(([name]) => name);
  expect(creating.length).toBeGreaterThan(0);
  for (const name of creating) {
    expect(withClientId(name, {})).toEqual({ clientId: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(withClientId(name, { clientId: 'mine' })).toEqual({ clientId: 'mine' });
    expect(isRepeatable(name, withClientId(name, {}))).toBe(true);
  }
  expect(withClientId('chat:get', { chatId: 'x' })).toEqual({ chatId: 'x' });
});

test('[SD-5] what is done anew each time is sent once', () => {
  for (const name of ['typing:start', 'user:update-profile', 'message:send'])
    expect(isRepeatable(name, {})).toBe(false);
});
