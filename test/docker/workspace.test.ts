/** People in editors and programs in a terminal at the same files, through a whole server and a real container. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { call } from '../support/calls.ts';
import { startDockerServer, type DockerServer } from './deployments.ts';
import { exec, projectOf } from './projects.ts';
import { openShell } from './shell.ts';

vi.setConfig({ testTimeout: 120_000 });

let server: DockerServer;
let a: Socket;

beforeAll(async () => {
  server = await startDockerServer({ SANDBOX_VOLUME_MIB: '256' });
  a = await server.socket(await server.person('Ada'));
});
afterAll(() => server?.[Symbol.asyncDispose]());

const pathsOf = async (projectId: string): Promise<string[]> =>
  (await call(a, 'file:tree', { projectId })).files.map(({ path }) => path).toSorted();

test('[WS-1] what a program writes is in the editors, and an edit in an editor is seen by the next program', async () => {
  const projectId = await projectOf(a);
  const shell = await openShell(a, projectId);
  await shell.type('npm init -y > /dev/null && echo one > a.txt; echo done-$?\n');
  await shell.sees(/done-0\r/);
  await expect.poll(() => pathsOf(projectId), { timeout: 10_000 }).toEqual(['a.txt', 'package.json']);
  const { files } = await call(a, 'file:tree', { projectId });
  const fileId = files.find(({ path }) => path === 'a.txt')?.id ?? '';
  expect((await call(a, 'file:read', { fileId })).content).toBe('one\n');
  await call(a, 'file:edit', { fileId, edits: [{ find: 'one', replace: 'two' }] });
  await shell.type('until grep -q two a.txt; do sleep 0.05; done; cat a.txt; echo seen\n');
  await shell.sees(/two\r\nseen/);
});

test('[WS-2] packages come although there is no network, and nothing else does', async () => {
  const projectId = await projectOf(a);
  const shell = await openShell(a, projectId);
  await shell.type(
    'npm init -y > /dev/null; npm install is-odd@3 2>&1 | tail -3; node -p "require(\'is-odd\')(3)"; echo ended-$?\n',
  );
  await shell.sees(/ended-0\r/, 60_000);
  expect(shell.text()).toMatch(/true\r\nended-0/);
  await shell.type('curl -sS -m 5 https://example.com/ ; echo status-$?\n');
  await shell.sees(/status-(6|7)/);
  await expect.poll(() => pathsOf(projectId)).toEqual(['package-lock.json', 'package.json']);
});

test('[WS-2] packages in C are compiled where they are installed, and npm has nothing to complain of', async () => {
  const projectId = await projectOf(a);
  const addon = `
echo '{ "name": "answer", "version": "1.0.0", "private": true }' > package.json
echo '{ "targets": [{ "target_name": "answer", "sources": ["answer.c"] }] }' > binding.gyp
cat > answer.c << 'END'
#include <node_api.h>
NAPI_MODULE_INIT() { napi_value answer; napi_create_int32(env, 42, &answer); return answer; }
END
npm install 2> >(grep warn) > /dev/null; node -p 'require("./build/Release/answer.node")'`;
  expect(await exec(a, projectId, addon)).toBe('42\n');
});

test('[WS-3] people and programs at one file at the same time lose nothing', async () => {
  const projectId = await projectOf(a);
  const { file } = await call(a, 'file:create', { projectId, path: 'shared.txt', content: 'top\n\nbottom\n' });
  const shell = await openShell(a, projectId);
  await shell.type('until test -f shared.txt; do sleep 0.05; done; echo there-$?\n');
  await shell.sees(/there-0\r/);
  await shell.type('for n in $(seq 20); do echo "program $n" >> shared.txt; sleep 0.05; done; echo wrote-$?\n');
  for (let n = 1; n <= 20; n++) {
    await call(a, 'file:edit', { fileId: file.id, edits: [{ find: 'top\n', replace: `top\nperson ${n}\n` }] });
  }
  await shell.sees(/wrote-0\r/);
  const lines = async (): Promise<string[]> =>
    (await call(a, 'file:read', { fileId: file.id })).content?.split('\n') ?? [];
  const wanted = [...Array(20).keys()].flatMap((n) => [`person ${n + 1}`, `program ${n + 1}`]).toSorted();
  const written = async (): Promise<string[]> => (await lines()).filter((line) => / \d/.test(line)).toSorted();
  await expect.poll(written, { timeout: 20_000 }).toEqual(wanted);
  await shell.type('until [ "$(grep -c " [0-9]" shared.txt)" = 40 ]; do sleep 0.05; done; echo both-$?\n');
  await shell.sees(/both-0\r/);
});
