import { describe, expect, test } from 'vitest';
import { startTwilioServer, type TwilioBehaviour, type TwilioServer } from '../../support/twilio-server.ts';
import { openAuth, type Options, type World } from './harness.ts';

const phone = '+14155550100';
const sender = '+15005550006';

const otpOf = ({ url, accountSid, authToken }: TwilioServer, more: object = {}): NonNullable<Options['otp']> => ({
  provider: { kind: 'twilio-messages', accountSid, authToken, from: sender, baseUrl: url, timeoutMs: 500, ...more },
  countries: [],
  hourlyCap: 1_000,
});

const send = (world: World, channel = 'sms') => world.call('auth:send-otp', { phoneNumber: phone, channel });
const codeIn = (twilio: TwilioServer): string => /\b\d{6}\b/.exec(twilio.received.at(-1)?.body ?? '')?.[0] ?? 'none';
const verify = (world: World, twilio: TwilioServer): Promise<string> =>
  world.code('auth:verify-otp', { phoneNumber: phone, otp: codeIn(twilio) });

describe('codes by Twilio', () => {
  test('[AU-8] go out as SMS once, and sign in', async () => {
    await using twilio = await startTwilioServer();
    await using world = await openAuth({ otp: otpOf(twilio) });
    expect((await send(world)).ok).toBe(true);
    expect(twilio.received).toHaveLength(1);
    expect(twilio.received[0]).toMatchObject({ to: phone, from: sender, messagingServiceSid: null });
    expect(await verify(world, twilio)).toBe('ok');
    expect(world.auth.outbox).toBeUndefined();
  });

  test('go out by a messaging service and by WhatsApp', async () => {
    await using twilio = await startTwilioServer();
    const service = `MG${'0'.repeat(32)}`;
    await using world = await openAuth({ otp: otpOf(twilio, { from: service, whatsappFrom: '+14155238886' }) });
    expect((await send(world)).ok).toBe(true);
    expect(twilio.received[0]).toMatchObject({ to: phone, from: null, messagingServiceSid: service });
    world.clock.advance(60_000);
    expect((await send(world, 'whatsapp')).ok).toBe(true);
    expect(twilio.received[1]).toMatchObject({ to: `whatsapp:${phone}`, from: 'whatsapp:+14155238886' });
    expect(await verify(world, twilio)).toBe('ok');
  });

  test('do not go out by WhatsApp without a sender for it', async () => {
    await using twilio = await startTwilioServer();
    await using world = await openAuth({ otp: otpOf(twilio) });
    expect(await send(world, 'whatsapp')).toMatchObject({ error: { code: 'unsupported' } });
    expect(twilio.received).toHaveLength(0);
    // And the phone has used nothing of its limits.
    expect((await send(world)).ok).toBe(true);
  });

  const failures: [string, TwilioBehaviour, string][] = [
    ['a number that is none', { kind: 'error', status: 400, code: 21_211 }, 'invalid'],
    ['a landline', { kind: 'error', status: 400, code: 21_614 }, 'invalid'],
    ['a region that is switched off', { kind: 'error', status: 400, code: 21_408 }, 'unsupported'],
    ['a phone that has said STOP', { kind: 'error', status: 400, code: 21_610 }, 'unsupported'],
    ['too many messages', { kind: 'error', status: 429, code: 20_429 }, 'unavailable'],
    ['an outage', { kind: 'error', status: 503, code: 20_503 }, 'upstream'],
    ['an answer that never comes', { kind: 'hang' }, 'timeout'],
    ['an answer that is broken off', { kind: 'reset' }, 'timeout'],
    ['an answer that is none', { kind: 'malformed' }, 'upstream'],
  ];
  test.each(failures)('[AU-10] tell %s without a word of the SDK, send nothing twice', async (_, behaviour, code) => {
    await using twilio = await startTwilioServer();
    await using world = await openAuth({ otp: otpOf(twilio) });
    twilio.behave(behaviour);
    const answer = await send(world);
    expect(answer).toMatchObject({ ok: false, error: { code } });
    expect(twilio.received).toHaveLength(1);
    expect(world.bugs).toEqual([]);
    await world.audited('auth.otp-send');
    const rows = await world.connection.collection('audit').find({}).toArray();
    const told = JSON.stringify([answer, rows, world.logged]);
    const basic = Buffer.from(`${twilio.accountSid}:${twilio.authToken}`).toString('base64');
    for (const secret of [codeIn(twilio), twilio.authToken, basic, 'Atelier code']) expect(told).not.toContain(secret);
    // Whatever was answered, the message may have arrived.
    expect(await verify(world, twilio)).toBe('ok');
  });

  test('tell wrong credentials and an unreachable address as our fault, not the caller’s', async () => {
    const twilio = await startTwilioServer();
    await using world = await openAuth({ otp: otpOf(twilio, { authToken: 'wrong' }) });
    expect(await send(world)).toMatchObject({ error: { code: 'upstream' } });
    await twilio.close();
    world.clock.advance(60_000);
    expect(await send(world)).toMatchObject({ error: { code: 'upstream' } });
    expect(world.bugs).toEqual([]);
  });
});
