/** The parts of push that are about addresses, times of day, bursts and keys. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { QuietHours } from '../../../src/features/push/contract.ts';
import { Pace } from '../../../src/features/push/pace.ts';
import { guardedLookup, isPublicAddress } from '../../../src/features/push/public-address.ts';
import { isQuiet } from '../../../src/features/push/quiet-hours.ts';
import { arePair, makeVapidKeys } from '../../../src/config/vapid-keys.ts';
import { loadConfig, loadVapidKeys } from '../../../src/config/index.ts';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

test.each(['8.8.8.8', '1.1.1.1', '100.63.255.255', '172.15.0.1', '172.32.0.1', '2606:4700::1111', '2a00:1450::1'])(
  '[PU-8] %s is public',
  (address) => expect(isPublicAddress(address)).toBe(true),
);

const NOT_PUBLIC = `
  0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8
  192.168.0.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 fe80::1
  fc00::1 fd12::1 ff02::1 ::ffff:8.8.8.8 64:ff9b::a00:1 2001:db8::1 2001::1 2002:a00:1::1 3fff::1
  push.example.com
`;

test.each(NOT_PUBLIC.trim().split(/\s+/))('[PU-8] %s is not public', (address) =>
  expect(isPublicAddress(address)).toBe(false),
);

test('[PU-8] a name that leads into this machine is not connected to', async () => {
  let connections = 0;
  const server = createServer((_request, response) => response.end()).on('connection', () => connections++);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const get = (mayReach: (address: string) => boolean) => {
    const asked = request({ host: 'localhost', port, lookup: guardedLookup(mayReach), agent: false });
    asked.end();
    return once(asked, 'response');
  };
  await expect(get(isPublicAddress)).rejects.toMatchObject({ code: 'NOT_PUBLIC' });
  expect(connections).toBe(0);
  await get(() => true);
  expect(connections).toBe(1);
  server.closeAllConnections();
  server.close();
});

test.each([
  ['22:00', '07:00', '2026-01-15T21:30:00Z', true],
  ['22:00', '07:00', '2026-01-15T05:59:00Z', true],
  ['22:00', '07:00', '2026-01-15T06:00:00Z', false],
  ['22:00', '07:00', '2026-01-15T20:59:00Z', false],
  // In summer the clock is another hour ahead.
  ['22:00', '07:00', '2026-07-15T20:00:00Z', true],
  ['22:00', '07:00', '2026-07-15T05:00:00Z', false],
  ['12:00', '13:00', '2026-01-15T11:30:00Z', true],
  ['12:00', '13:00', '2026-01-15T12:00:00Z', false],
])('[PU-3] from %s to %s in Berlin, at %s: %s', (from, to, at, quiet) => {
  expect(isQuiet({ from, to, timeZone: 'Europe/Berlin' }, Date.parse(at))).toBe(quiet);
});

test('[PU-3] midnight belongs to the new day', () => {
  const hours = { from: '00:00', to: '01:00', timeZone: 'UTC' };
  expect(isQuiet(hours, Date.parse('2026-01-15T00:00:00Z'))).toBe(true);
  expect(isQuiet(hours, Date.parse('2026-01-14T23:59:00Z'))).toBe(false);
});

test.each([
  { from: '24:00', to: '07:00', timeZone: 'UTC' },
  { from: '7:00', to: '08:00', timeZone: 'UTC' },
  { from: '07:00', to: '07:00', timeZone: 'UTC' },
  { from: '07:00', to: '08:00', timeZone: 'Nowhere' },
])('[PU-3] $from to $to in $timeZone are no quiet hours', (hours) => {
  expect(QuietHours.safeParse(hours).success).toBe(false);
});

test('[PU-6] the first goes at once, the last when the time is up, those that must at once; none is lost at the end', async () => {
  const passed: string[] = [];
  const pace = new Pace({ intervalMs: 50, most: 2, pass: (chat, message) => passed.push(`${chat}${message}`) });
  for (const message of ['1', '2', '3']) pace.add('a', message, false);
  pace.add('a', '4', true);
  pace.add('b', '1', false);
  expect(passed).toEqual(['a1', 'a4', 'b1']);
  // More chats than it keeps.
  pace.add('c', '1', false);
  pace.add('c', '2', false);
  expect(passed.slice(3)).toEqual(['c1', 'c2']);
  await expect.poll(() => passed.slice(5)).toEqual(['a3']);
  pace.add('a', '5', false);
  pace.close();
  expect(passed.slice(6)).toEqual(['a5']);
});

test('a generated pair is one, and is kept; half a pair or two halves are faults', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'atelier-test-'));
  const made = await loadVapidKeys({ dataDir, production: false });
  expect(made && arePair(made)).toBe(true);
  expect(await loadVapidKeys({ dataDir, production: false })).toEqual(made);
  expect(await loadVapidKeys({ dataDir, production: true })).toBeUndefined();
  await rm(dataDir, { recursive: true });

  const [one, other] = [makeVapidKeys(), makeVapidKeys()];
  const load = (publicKey?: string, privateKey?: string) => () =>
    loadConfig({
      ...(publicKey ? { VAPID_PUBLIC_KEY: publicKey } : {}),
      ...(privateKey ? { VAPID_PRIVATE_KEY: privateKey } : {}),
    });
  expect(load(one.publicKey, one.privateKey)()).toMatchObject({ vapidPublicKey: one.publicKey });
  expect(load(one.publicKey)).toThrow('VAPID_PRIVATE_KEY');
  expect(load(undefined, one.privateKey)).toThrow('VAPID_PUBLIC_KEY');
  expect(load(one.publicKey, other.privateKey)).toThrow('VAPID_PRIVATE_KEY');
});
