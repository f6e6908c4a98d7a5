/** Every line of docs/migrating.md: its replacement is sent to a whole server and its result checked. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/index.ts';
import { startServer, type Person, type TestServer } from '../support/server.ts';
import { formOf, PNG, post } from '../support/uploads.ts';

let server: TestServer;
let ada: Person;
let grace: Person;
let chatId: string;

beforeAll(async () => {
  // Programs run on this machine, for the first account.
  server = await startServer({ SANDBOX: 'local', SANDBOX_PER_USER: '20' });
  [ada, grace] = [await server.person('Ada'), await server.person('Grace')];
  chatId = await server.chat([ada, grace]);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const unique = (): string => `${Math.random().toString(36).slice(2)}@example.com`;
const password = 'a long enough secret';

async function ok(method: string, path: string, body?: unknown, as?: Person): Promise<Record<string, never>> {
  const answer = await server.request(method, path, { ...(body === undefined ? {} : { body }), ...(as ? { as } : {}) });
  expect(answer).toMatchObject({ status: 200, body: { type: 'success' } });
  return answer.body as unknown as Record<string, never>;
}

async function register(): Promise<void> {
  const body = await ok('POST', '/api/auth/register', { email: unique(), password, name: 'New' });
  expect(body).toMatchObject({
    user: { name: 'New' },
    accessToken: expect.any(String),
    refreshToken: expect.any(String),
    data: { user: { name: 'New' }, accessToken: expect.any(String) },
  });
}

async function login(): Promise<void> {
  const body = await ok('POST', '/api/auth/login', { email: ada.email, password });
  expect(body).toMatchObject({ data: { accessToken: expect.any(String), user: { id: ada.id } } });
}

async function listChats(): Promise<void> {
  const body = await ok('GET', '/api/chats', undefined, ada);
  expect(body).toMatchObject({
    data: {
      items: expect.arrayContaining([
        expect.objectContaining({ id: chatId, starred: false, lastActivityAt: expect.any(String) }),
      ]),
    },
  });
}

async function history(): Promise<void> {
  const clientId = unique();
  await ok('POST', `/api/chats/${chatId}/messages`, { content: 'hello', type: 'text', clientId }, ada);
  const body = await ok('GET', `/api/chats/${chatId}/messages?limit=1`, undefined, grace);
  expect(body).toMatchObject({ data: { items: [{ content: 'hello' }] } });
  const { seq } = (body as unknown as { data: { items: { seq: number }[] } }).data.items[0] ?? { seq: 0 };
  await ok('GET', `/api/chats/${chatId}/messages?before=${seq}`, undefined, grace);
}

async function profile(): Promise<void> {
  expect(await ok('GET', '/api/users/profile', undefined, ada)).toMatchObject({ data: { user: { id: ada.id } } });
  const changed = await ok('PUT', '/api/users/profile', { name: 'Ada L' }, ada);
  expect(changed).toMatchObject({ data: { user: { name: 'Ada L', avatarUrl: `/api/users/${ada.id}/avatar` } } });
}

async function waitForAssistant(): Promise<void> {
  const body = await ok('POST', '/api/chat/send', { content: 'hello', wait: true }, ada);
  expect(body).toMatchObject({
    data: {
      chatId: expect.any(String),
      message: { sender: { type: 'assistant' } },
      usage: { outputTokens: expect.any(Number) },
      truncated: false,
    },
  });
}

async function askInProject(): Promise<void> {
  const { data } = await ok('POST', '/api/projects', { name: 'Chatbot' }, ada);
  const { id: projectId } = (data as unknown as { project: { id: string } }).project;
  const made = await ok('POST', '/api/chats', { kind: 'project', projectId }, ada);
  const { chat } = (made as unknown as { data: { chat: { id: string } } }).data;
  expect(chat).toMatchObject({ kind: 'project', projectId });
  expect(await ok('POST', `/api/chats/${chat.id}/prompt`, { content: 'hello', wait: true }, ada)).toMatchObject({
    data: { chatId: chat.id, message: { sender: { type: 'assistant' } }, usage: { outputTokens: expect.any(Number) } },
  });
}

async function sendOtp(): Promise<void> {
  expect(await ok('POST', '/api/auth/send-otp', { phoneNumber: '+14155552671', channel: 'sms' })).toMatchObject({
    data: { challengeId: expect.any(String), expiresInSeconds: 300, resendAfterSeconds: 60 },
  });
}

async function verifyOtp(): Promise<void> {
  const phoneNumber = '+14155552672';
  await ok('POST', '/api/auth/send-otp', { phoneNumber });
  const shown = await fetch(`${server.url}/dev/outbox`);
  const code = new RegExp(`${phoneNumber.slice(1)}[\\s\\S]*?"code":"(\\d{6})"`).exec(await shown.text())?.[1];
  const body = await ok('POST', '/api/auth/verify-otp', { phoneNumber, otp: code });
  expect(body).toMatchObject({ data: { user: { phoneNumber }, accessToken: expect.any(String) } });
}

async function createProject(): Promise<string> {
  const input = { name: 'My shop', description: 'Sells things', template: 'empty' };
  const body = await ok('POST', '/api/projects', input, ada);
  expect(body).toMatchObject({ data: { project: { ...input, status: 'active', owner: ada.id } } });
  return (body as unknown as { data: { project: { id: string } } }).data.project.id;
}

async function listProjects(): Promise<void> {
  const [first, second] = [await createProject(), await createProject()];
  const page = (await ok('GET', '/api/projects?status=active&limit=1', undefined, ada)) as unknown as {
    data: { items: { id: string }[]; next: string };
  };
  expect(page).toMatchObject({ data: { items: [{ id: second }], next: expect.any(String) } });
  expect(await ok('GET', `/api/projects?limit=1&cursor=${page.data.next}`, undefined, ada)).toMatchObject({
    data: { items: [{ id: first }] },
  });
}

async function oneProject(): Promise<void> {
  const path = `/api/projects/${await createProject()}`;
  expect(await ok('GET', path, undefined, ada)).toMatchObject({ data: { project: { name: 'My shop' } } });
  expect(await ok('PUT', path, { name: 'Our shop' }, ada)).toMatchObject({ data: { project: { name: 'Our shop' } } });
  await ok('DELETE', path, undefined, ada);
  expect((await server.request('GET', path, { as: ada })).status).toBe(404);
  expect(await ok('POST', `${path}/restore`, {}, ada)).toMatchObject({ data: { project: { name: 'Our shop' } } });
}

async function withSockets(run: (a: Socket, g: Socket) => Promise<void>): Promise<void> {
  const sockets = [await server.socket(ada), await server.socket(grace)] as const;
  try {
    await run(...sockets);
  } finally {
    for (const socket of sockets) socket.close();
  }
}

const variable = (name: string, value: string, key: string, expected: unknown) => async (): Promise<void> => {
  expect(loadConfig({ [name]: value })).toMatchObject({ [key]: expected });
};

async function typing(): Promise<void> {
  await withSockets(async (a, g) => {
    await g.emitWithAck('chat:join', { chatId });
    const began = once(g as never, 'typing:changed');
    expect(await a.emitWithAck('typing:start', { chatId })).toMatchObject({ ok: true });
    expect((await began)[0]).toEqual({ chatId, userId: ada.id, typing: true });
    const ended = once(g as never, 'typing:changed');
    expect(await a.emitWithAck('typing:stop', { chatId })).toMatchObject({ ok: true });
    expect((await ended)[0]).toEqual({ chatId, userId: ada.id, typing: false });
  });
}

async function message(): Promise<void> {
  await withSockets(async (a, g) => {
    const created = once(g as never, 'message:created');
    expect(await a.emitWithAck('message:send', { chatId, clientId: unique(), content: 'hi' })).toMatchObject({
      ok: true,
    });
    expect((await created)[0]).toMatchObject({ chatId, rev: expect.any(Number), message: { content: 'hi' } });
  });
}

async function streamed(): Promise<void> {
  const response = await fetch(`${server.url}/api/chats/${chatId}/prompt`, {
    method: 'POST',
    headers: {
      accept: 'text/event-stream',
      'content-type': 'application/json',
      authorization: `Bearer ${ada.accessToken}`,
    },
    body: JSON.stringify({ content: 'hello' }),
  });
  const names = [...(await response.text()).matchAll(/^event: (\w+)$/gm)].map((match) => match[1]);
  expect(names[0]).toBe('started');
  expect(names.slice(1, -1).every((name) => name === 'delta')).toBe(true);
  expect(names.at(-1)).toBe('finished');
}

async function newProject(): Promise<string> {
  const made = await ok('POST', '/api/projects', { name: 'A project', template: 'empty' }, ada);
  return (made as unknown as { data: { project: { id: string } } }).data.project.id;
}

async function newFile(): Promise<{ projectId: string; fileId: string }> {
  const projectId = await newProject();
  const file = { path: 'src/main.py', content: 'print(1)' };
  const made = await ok('POST', `/api/projects/${projectId}/files`, file, ada);
  expect(made).toMatchObject({ data: { file: { path: 'src/main.py', sizeBytes: 8 } } });
  return { projectId, fileId: (made as unknown as { data: { file: { id: string } } }).data.file.id };
}

/** A terminal of Ada's in which a line of shell runs, what it shows, and how it ended. */
async function runInTerminal(a: Socket, command: string) {
  const projectId = await newProject();
  const opened = await a.emitWithAck('terminal:open', { projectId, cols: 80, rows: 24, command });
  expect(opened).toMatchObject({ ok: true, data: { terminalId: expect.any(String), size: { cols: 80, rows: 24 } } });
  const { terminalId, chunks } = opened.data as { terminalId: string; chunks: { data: Uint8Array }[] };
  let text = Buffer.concat(chunks.map(({ data }) => data)).toString();
  a.on('terminal:output', (piece: { data: Uint8Array }) => (text += Buffer.from(piece.data).toString()));
  return { terminalId, text: () => text };
}

/** By section, then by the first words of the line's left side. */
const LINES: Record<string, Record<string, () => Promise<void>>> = {
  'App builder (Claude)': {
    'POST /api/auth/register': register,
    'POST /api/auth/login': login,
    'POST /api/auth/logout': async () => {
      const one = await server.person();
      await ok('POST', '/api/auth/logout', { refreshToken: one.refreshToken });
      expect(await server.request('GET', '/api/auth/me', { as: one })).toMatchObject({ status: 401 });
    },
    'GET /api/chat/list': listChats,
    'GET /api/chat/history': history,
    'POST /api/chat/prompt': streamed,
    'chat `isStarred`': async () => {
      const id = await server.chat([ada]);
      expect(await ok('PUT', `/api/chats/${id}/star`, { on: true }, ada)).toMatchObject({
        data: { chat: { starred: true } },
      });
      expect(await ok('PUT', `/api/chats/${id}/archive`, { on: true }, ada)).toMatchObject({
        data: { chat: { archived: true } },
      });
      await ok('DELETE', `/api/chats/${id}`, undefined, ada);
      expect(await ok('GET', '/api/chats?status=deleted', undefined, ada)).toMatchObject({ data: { items: [{ id }] } });
      expect(await ok('POST', `/api/chats/${id}/restore`, {}, ada)).toMatchObject({
        data: { chat: { status: 'active' } },
      });
    },
    'POST /api/chat/upload-project-files': async () => {
      const projectId = await newProject();
      const files = [{ path: 'index.html', content: '<p>' }];
      expect(await ok('POST', `/api/projects/${projectId}/files/write-many`, { files }, ada)).toMatchObject({
        data: { files: [{ path: 'index.html', kind: 'text' }] },
      });
    },
    'chat `projectFiles': async () => {
      const projectId = await newProject();
      const files = [{ path: 'index.html', content: '<p>' }];
      await ok('POST', `/api/projects/${projectId}/files/write-many`, { files }, ada);
      const { data } = (await ok('POST', `/api/projects/${projectId}/snapshot`, {}, ada)) as unknown as {
        data: { files: { url: string }[] };
      };
      const key = `users/${ada.id}/projects/${projectId}/index.html`;
      expect(data.files).toEqual([{ path: 'index.html', key, url: expect.any(String) }]);
      expect(await (await fetch(server.url + data.files[0]?.url)).text()).toBe('<p>');
    },
    'GET /health': async () => {
      expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({
        status: 'ok',
        timestamp: expect.any(String),
      });
    },
  },
  'Coding agent (Gemini)': {
    'POST /api/auth/register': async () => {
      const username = `u${Math.random().toString(36).slice(2, 10)}`;
      const body = await ok('POST', '/api/auth/register', { email: unique(), username, password });
      expect(body).toMatchObject({ data: { user: { username } } });
    },
    'GET /api/auth/me': async () => {
      expect(await ok('GET', '/api/auth/me', undefined, grace)).toMatchObject({ user: { id: grace.id } });
    },
    'POST /api/chat/send': waitForAssistant,
    'GET /api/conversations?page': async () => {
      await waitForAssistant();
      const body = await ok('GET', '/api/chats?kind=assistant&limit=1&search=hello', undefined, ada);
      expect(body).toMatchObject({ data: { items: [{ kind: 'assistant' }] } });
    },
    'GET /api/conversations/:id/export': async () => {
      for (const format of ['json', 'markdown']) {
        const answer = await fetch(`${server.url}/api/chats/${chatId}/export?format=${format}`, {
          headers: { authorization: `Bearer ${ada.accessToken}` },
        });
        expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('Ada')]);
      }
    },
    'GET /api/conversations/:id': async () => {
      expect(await ok('GET', `/api/chats/${chatId}`, undefined, ada)).toMatchObject({ data: { chat: { id: chatId } } });
      await history();
    },
    'PUT /api/conversations/:id': async () => {
      const id = await server.chat([ada]);
      expect(await ok('PUT', `/api/chats/${id}`, { name: 'New name' }, ada)).toMatchObject({
        data: { chat: { name: 'New name' } },
      });
    },
    'DELETE /api/conversations/:id': async () => {
      const id = await server.chat([ada]);
      await ok('DELETE', `/api/chats/${id}`, undefined, ada);
      expect((await server.request('GET', `/api/chats/${id}`, { as: ada })).status).toBe(404);
    },
    DATABASE_URL: variable('MONGODB_URI', 'mongodb://db/x', 'mongodbUri', 'mongodb://db/x'),
    CORS_ORIGINS: variable('ALLOWED_ORIGINS', 'https://a.example', 'allowedOrigins', ['https://a.example']),
  },
  'Cloud IDE': {
    'GET /api/projects/:projectId/files': async () => {
      const { projectId, fileId } = await newFile();
      expect(await ok('GET', `/api/projects/${projectId}/files?limit=1`, undefined, ada)).toMatchObject({
        data: { items: [{ id: fileId, path: 'src/main.py' }], next: null },
      });
      expect(await ok('GET', `/api/projects/${projectId}/tree`, undefined, ada)).toMatchObject({
        data: { files: [{ id: fileId }], folders: ['src'] },
      });
    },
    'GET /api/files/:fileId': async () => {
      const { fileId } = await newFile();
      expect(await ok('GET', `/api/files/${fileId}`, undefined, ada)).toMatchObject({
        data: { file: { path: 'src/main.py', language: 'python' }, content: 'print(1)' },
      });
    },
    'POST /api/files {': async () => void (await newFile()),
    'PUT /api/files/:fileId': async () => {
      const { fileId } = await newFile();
      await ok('PUT', `/api/files/${fileId}`, { content: 'print(2)' }, ada);
      await ok('PUT', `/api/files/${fileId}/language`, { language: 'ruby' }, ada);
      await ok('POST', `/api/files/${fileId}/rename`, { newPath: 'main' }, ada);
      expect(await ok('GET', `/api/files/${fileId}`, undefined, ada)).toMatchObject({
        data: { file: { path: 'main', language: 'ruby' }, content: 'print(2)' },
      });
    },
    'DELETE /api/files/:fileId': async () => {
      const { fileId } = await newFile();
      await ok('DELETE', `/api/files/${fileId}`, undefined, ada);
      expect((await server.request('GET', `/api/files/${fileId}`, { as: ada })).status).toBe(404);
      await ok('POST', `/api/files/${fileId}/restore`, {}, ada);
      await ok('GET', `/api/files/${fileId}`, undefined, ada);
    },
    'GET /api/projects?status&limit&offset': listProjects,
    'POST /api/projects {': async () => void (await createProject()),
    'GET`, `PUT`, `DELETE /api/projects/:id': oneProject,
    'POST /api/code/execute': async () => {
      const body = { language: 'javascript', code: "process.stdin.on('data', (d) => console.log(`got ${d}`))" };
      const more = { timeoutMs: 20_000, stdin: 'this', wait: true };
      expect(await ok('POST', '/api/code/run', { ...body, ...more }, ada)).toMatchObject({
        data: { stdout: 'got this\n', stderr: '', exitCode: 0, durationMs: expect.any(Number) },
      });
    },
    'socket `terminal:command': async () => {
      await withSockets(async (a) => {
        const [output, exited] = [once(a as never, 'code:output'), once(a as never, 'code:exited')];
        const projectId = await newProject();
        expect(await a.emitWithAck('sandbox:exec', { projectId, command: 'echo hi >&2' })).toMatchObject({ ok: true });
        expect((await output)[0]).toMatchObject({ stream: 'stderr', data: 'hi\n' });
        expect((await exited)[0]).toMatchObject({ exitCode: 0 });
      });
    },
    'socket `terminal:input': async () => {
      await withSockets(async (a) => {
        const { terminalId, text } = await runInTerminal(a, 'read line; echo "got $line"');
        expect(await a.emitWithAck('terminal:input', { terminalId, data: 'this\n' })).toMatchObject({ ok: true });
        await expect.poll(text).toContain('got this');
      });
    },
    'socket `terminal:resize': async () => {
      await withSockets(async (a) => {
        const { terminalId } = await runInTerminal(a, 'sleep 100');
        expect(await a.emitWithAck('terminal:resize', { terminalId, cols: 100, rows: 30 })).toMatchObject({
          ok: true,
          data: { size: { cols: 100, rows: 30 } },
        });
      });
    },
    'event `terminal:error': async () => {
      await withSockets(async (a) => {
        const input = { projectId: await newProject(), cols: 80, rows: 24, cwd: '../..' };
        expect(await a.emitWithAck('terminal:open', input)).toMatchObject({ ok: false, error: { code: 'invalid' } });
      });
    },
    'event `terminal:exit': async () => {
      await withSockets(async (a) => {
        const exited = once(a as never, 'terminal:exited');
        await runInTerminal(a, 'exit 3');
        expect((await exited)[0]).toMatchObject({ code: 3, signal: null });
      });
    },
  },
  Messenger: {
    'POST /api/auth/send-otp': sendOtp,
    'POST /api/auth/verify-otp': verifyOtp,
    'POST /api/auth/refresh-token': async () => {
      const one = await server.person();
      const answer = await server.request('POST', '/api/auth/refresh-token', {
        headers: { authorization: `Bearer ${one.refreshToken}` },
      });
      expect(answer).toMatchObject({
        status: 200,
        body: { refreshToken: expect.not.stringMatching(one.refreshToken) },
      });
    },
    'GET /api/chats`': listChats,
    'POST /api/chats {': async () => {
      const body = await ok('POST', '/api/chats', { kind: 'private', memberIds: [grace.id] }, ada);
      expect(body).toMatchObject({ data: { chat: { kind: 'private', memberCount: 2 } } });
    },
    'GET /api/chats/:chatId/messages': history,
    'POST /api/chats/:chatId/messages': history,
    'GET /api/users/profile': profile,
    'PUT /api/users/profile': profile,
    'socket `join_user': message,
    'socket `join_chat': async () => {
      await withSockets(async (a) => {
        expect(await a.emitWithAck('chat:join', { chatId })).toMatchObject({
          ok: true,
          data: { chat: { id: chatId }, messages: expect.any(Array), head: { rev: expect.any(Number) } },
        });
      });
    },
    'socket `send_message': message,
    'socket `typing_start': typing,
    'event `new_message': message,
    'message `readBy': async () => {
      const sent = await ok('POST', `/api/chats/${chatId}/messages`, { content: 'read me', clientId: unique() }, ada);
      const { id, seq } = (sent as unknown as { data: { id: string; seq: number } }).data;
      await ok('POST', `/api/chats/${chatId}/read`, { seq }, grace);
      expect(await ok('GET', `/api/chats/${chatId}/messages/${id}/receipts`, undefined, ada)).toMatchObject({
        data: { items: [{ userId: grace.id, deliveredAt: expect.any(String), readAt: expect.any(String) }] },
      });
    },
    'event `user_typing': typing,
    'event `user_status': async () => {
      await withSockets(async (a, g) => {
        await g.emitWithAck('presence:watch', { userIds: [ada.id] });
        const changed = once(g as never, 'presence:changed');
        await a.emitWithAck('presence:set', { status: 'away' });
        expect((await changed)[0]).toMatchObject({ userId: ada.id, status: expect.any(String) });
      });
    },
    JWT_EXPIRE: variable('ACCESS_TOKEN_SECONDS', '600', 'accessTokenSeconds', 600),
    TWILIO_PHONE_NUMBER: variable('TWILIO_FROM', '+14155550100', 'twilioFrom', '+14155550100'),
  },
  'Chatbot platform': {
    'POST /api/auth/register': register,
    'POST /api/auth/login': login,
    'GET`, `PUT /api/users/profile': profile,
    'POST /api/chat/:projectId': askInProject,
    'GET`, `POST /api/projects`': listProjects,
    'GET`, `PUT`, `DELETE /api/projects/:id': oneProject,
    'settings `model': async () => {
      const settings = { model: 'demo', temperature: 0.5, maxTokens: 1000 };
      const path = `/api/projects/${await createProject()}`;
      expect(await ok('PUT', path, { settings }, ada)).toMatchObject({ data: { project: { settings } } });
    },
    'POST /api/projects/:id/files` (multipart': async () => {
      const form = formOf({ content: PNG, fields: { path: 'logo.png' } });
      const answer = await post(server, `/api/projects/${await newProject()}/files/upload`, ada, form);
      const { file } = (answer.body as unknown as { data: { file: { id: string; path: string } } }).data;
      expect(file).toMatchObject({ path: 'logo.png', kind: 'blob' });
      const headers = { authorization: `Bearer ${ada.accessToken}` };
      const content = await fetch(`${server.url}/api/files/${file.id}/content`, { headers });
      expect(Buffer.from(await content.arrayBuffer())).toEqual(PNG);
    },
    JWT_EXPIRES_IN: variable('ACCESS_TOKEN_SECONDS', '600', 'accessTokenSeconds', 600),
    FRONTEND_URL: variable('PUBLIC_URL', 'https://a.example', 'allowedOrigins', ['https://a.example']),
    RATE_LIMIT_WINDOW_MS: variable('RATE_LIMIT_SCALE', '2', 'rateLimitScale', 2),
  },
};

const sections = readFileSync('docs/migrating.md', 'utf8')
  .split(/^## /m)
  .slice(1)
  .map((text) => ({
    name: text.split('\n', 1)[0] ?? '',
    lines: [...text.matchAll(/^\| (?!before)(?!---)(.+?) \| .+ \|$/gm)].map((match) => match[1] ?? ''),
  }));

test('every section of the page is known here', () => {
  expect(sections.map(({ name }) => name)).toEqual(Object.keys(LINES));
});

describe.each(sections)('$name', ({ name, lines }) => {
  const runs = LINES[name] ?? {};
  const runOf = (line: string): string | undefined =>
    Object.keys(runs).find((start) => line.replace(/^`/, '').startsWith(start));

  test('no line is left out', () => {
    expect(lines.filter((line) => runOf(line) === undefined)).toEqual([]);
    expect(Object.keys(runs).filter((start) => !lines.some((line) => runOf(line) === start))).toEqual([]);
  });

  test.each(lines)('%s', async (line) => {
    await expect(runs[runOf(line) ?? '']?.()).resolves.toBeUndefined();
  });
});
