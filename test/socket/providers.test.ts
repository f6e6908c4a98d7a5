/** The services outside, chosen by the environment of a whole server: the real SDKs speak to local servers. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answer, startAnthropicServer, status, TEST_KEY, type AnthropicServer } from '../support/anthropic-server.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { startTwilioServer, type TwilioServer } from '../support/twilio-server.ts';

let anthropic: AnthropicServer;
let twilio: TwilioServer;
let server: TestServer;

beforeAll(async () => {
  anthropic = await startAnthropicServer();
  twilio = await startTwilioServer();
  server = await startServer({
    AI_PROVIDER: 'auto',
    ANTHROPIC_API_KEY: TEST_KEY,
    ANTHROPIC_BASE_URL: anthropic.url,
    OTP_PROVIDER: 'twilio-messages',
    TWILIO_ACCOUNT_SID: twilio.accountSid,
    TWILIO_AUTH_TOKEN: twilio.authToken,
    TWILIO_FROM: '+14155550100',
    TWILIO_BASE_URL: twilio.url,
  });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await twilio.close();
  await anthropic.close();
});

test('[AI-37] with a key the assistant is Claude, and everyone in the chat hears its words', async () => {
  const [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
  const chatId = await server.chat([ada, grace]);
  const [asker, listener] = [await server.client(ada), await server.client(grace)];
  anthropic.script(answer(['Rooms ', 'have ', 'order.']));
  let heard = '';
  listener.on('ai:delta', ({ text }) => {
    heard += text;
  });
  const finished = listener.once('ai:finished');
  const { message, usage, truncated } = await asker.call('ai:prompt', { chatId, content: 'Tell me', wait: true });
  expect(message?.content).toBe('Rooms have order.');
  expect(usage?.outputTokens).toBeGreaterThan(0);
  expect(truncated).toBe(false);
  expect((await finished).message.id).toBe(message?.id);
  expect(heard).toBe('Rooms have order.');
});

test('[AI-6] a service that fails for good is told as upstream, without its words', async () => {
  const client = await server.client(await server.person());
  anthropic.script(status(400, 'invalid_request_error'));
  const failed = client.once('ai:failed');
  await client.call('ai:prompt', { content: 'Tell me' });
  const failure = await failed;
  expect(failure).toMatchObject({ code: 'upstream' });
  expect(JSON.stringify(failure)).not.toContain(TEST_KEY);
});

test('[AU-8] a code goes out by Twilio and signs in once', async () => {
  const phoneNumber = '+14155552671';
  const sent = await server.request('POST', '/api/auth/send-otp', { body: { phoneNumber } });
  expect(sent).toMatchObject({ status: 200, body: { data: { challengeId: expect.any(String) } } });
  expect(twilio.received.map(({ to, from }) => [to, from])).toEqual([[phoneNumber, '+14155550100']]);
  const otp = /\b\d{6}\b/.exec(twilio.received[0]?.body ?? '')?.[0];
  const verify = () => server.request('POST', '/api/auth/verify-otp', { body: { phoneNumber, otp } });
  expect(await verify()).toMatchObject({ status: 200, body: { data: { user: { phoneNumber } } } });
  expect(await verify()).toMatchObject({ status: 401, body: { error: { code: 'unauthenticated' } } });
  expect((await fetch(`${server.url}/dev/outbox`)).status).toBe(404);
});

test('nothing of this was a bug of ours', () => {
  expect(server.errors).toEqual([]);
});
