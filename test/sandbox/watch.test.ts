/** What programs do to the files of a sandbox is told, whatever way they have of doing it. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Watcher } from '../../sandbox/agent/files/watcher.ts';
import { createSandboxDisk, type SandboxDisk } from '../../src/sandbox/sandbox-disk.ts';
import { Ends } from '../support/ends.ts';
import { silentLog } from '../support/log.ts';
import { randomOf } from '../support/random.ts';
import { createStage, fileHelper } from './agent-process.ts';

/** For a machine that is busy with other tests. */
const WAITS = { timeout: 10_000 };

const run = promisify(execFile);
/** The system's limits can be lowered in a namespace of one's own. */
const hasNamespaces = spawnSync('unshare', ['-Ur', 'true']).status === 0;

interface Watched {
  path: (name: string) => string;
  disk: SandboxDisk;
  /** Told since the last `forget`. */
  changed: Set<string>;
  overflows: () => number;
  forget: () => void;
  /** Runs a line of shell in the workspace. */
  does: (script: string) => Promise<unknown>;
  /** Waits until these have been told. */
  tells: (...paths: string[]) => Promise<void>;
  /** The helper's process. */
  helper: () => Promise<number>;
  /** Ends the agent, and starts another. */
  restart: () => Promise<void>;
}

/** A workspace that is watched, after it has begun; by a helper that is started by way of the prefix. */
async function watched(ends: Ends, prefix: readonly string[] = []): Promise<Watched> {
  const directory = await mkdtemp(join(tmpdir(), 'atelier-watch-'));
  ends.defer(() => rm(directory, { recursive: true, force: true }));
  const stage = ends.use(await createStage());
  const { streams } = await stage.link();
  const agent = stage.agent();
  const pidFile = join(stage.directory, 'helper.pid');
  const helper = fileHelper();
  helper.argv = ['/bin/sh', '-c', `echo $$ > ${pidFile}; exec "$0" "$@"`, ...prefix, ...helper.argv];
  const disk = createSandboxDisk({ streams, helper, directory, log: silentLog });
  ends.defer(() => disk.close());
  const changed = new Set<string>();
  let overflows = 0;
  disk.watch({
    changed: (paths) => paths.forEach((path) => changed.add(path)),
    overflow: () => overflows++,
  });
  await expect.poll(() => overflows, { timeout: 15_000 }).toBe(1);
  return {
    path: (name) => join(directory, name),
    disk,
    changed,
    overflows: () => overflows,
    forget: () => changed.clear(),
    does: (script) => run('/bin/bash', ['-c', script], { cwd: directory, env: { ...process.env, HOME: directory } }),
    tells: (...paths) => expect.poll(() => [...changed], { timeout: 10_000 }).toEqual(expect.arrayContaining(paths)),
    helper: async () => Number(await readFile(pidFile, 'utf8')),
    async restart() {
      await agent.end('SIGKILL');
      stage.agent();
    },
  };
}

test('files that come, change, move and go are told', async () => {
  await using ends = new Ends();
  const { path, does, tells, forget, changed } = await watched(ends);
  await writeFile(path('a'), '1');
  await tells('a');
  forget();
  await appendFile(path('a'), '2');
  await tells('a');
  forget();
  await rename(path('a'), path('b'));
  await tells('a', 'b');
  forget();
  // As editors do.
  await does('echo new > .b.tmp && mv .b.tmp b');
  await tells('b');
  forget();
  await rm(path('b'));
  await tells('b');
  forget();
  await does("echo x > $'odd\\n name' && mkdir -p ä/ö && echo y > ä/ö/ü && ln -s /etc/passwd link && mkfifo pipe");
  await tells('odd\n name', 'ä/ö/ü', 'link', 'pipe');
  expect([...changed].filter((name) => name.includes('passwd'))).toEqual([]);
});

test('folders that come with files, move, are replaced and go are told by their files', async () => {
  await using ends = new Ends();
  const { path, does, tells, forget, overflows } = await watched(ends);
  await does('mkdir -p deep/er/still && echo 1 > deep/er/still/a && echo 2 > deep/b');
  await tells('deep/er/still/a', 'deep/b');
  forget();
  await does('mv deep moved');
  await tells('deep/er/still/a', 'deep/b', 'moved/er/still/a', 'moved/b');
  forget();
  // It is watched under its new name.
  await appendFile(path('moved/er/still/a'), 'more');
  await tells('moved/er/still/a');
  forget();
  // Under the same name again, and perhaps the same number.
  await does('rm -rf moved && mkdir -p moved/er && echo 3 > moved/er/c');
  await tells('moved/er/still/a', 'moved/b', 'moved/er/c');
  forget();
  await writeFile(path('moved/er/d'), '4');
  await tells('moved/er/d');
  forget();
  await does('mkdir other && echo 5 > other/e && mv moved away && mv other moved');
  await tells('moved/er/c', 'moved/er/d', 'away/er/c', 'away/er/d', 'moved/e');
  forget();
  // A file in a folder's place, and the other way round; a name within itself.
  await does('rm -rf moved && echo 6 > moved && rm -rf away/er && echo 7 > away/er');
  await tells('moved', 'away/er');
  await does('rm moved && mkdir -p moved/moved/moved && echo 8 > moved/moved/moved/moved');
  await tells('moved/moved/moved/moved');
  forget();
  await appendFile(path('moved/moved/moved/moved'), '9');
  await tells('moved/moved/moved/moved');
  expect(overflows()).toBe(1);
});

test('what programs make by the thousand in their own folders is not told', async () => {
  await using ends = new Ends();
  const { does, tells, changed, overflows } = await watched(ends);
  await does('git init -q . && git config user.email a@b && git config user.name a');
  await does('npm init -y > /dev/null && mkdir -p node_modules/x && echo 1 > node_modules/x/y && mkdir dist');
  await does('echo 1 > dist/out.js && git add package.json && git commit -qm first && git checkout -qb other');
  await does('echo changed > package.json && git stash -q && echo end > end');
  await tells('package.json', 'end');
  expect([...changed].filter((path) => /^(\.git|node_modules|dist)\//.test(path))).toEqual([]);
  expect(overflows()).toBe(1);
});

test('nothing is lost of thousands at once, by name or by saying so', async () => {
  await using ends = new Ends();
  const { path, does, disk, changed, overflows, forget, tells } = await watched(ends);
  const seen = async (names: string[]): Promise<void> => {
    await expect
      .poll(() => overflows() > 1 || names.every((name) => changed.has(name)), { timeout: 20_000 })
      .toBe(true);
  };
  await does('mkdir many && cd many && for i in $(seq 3000); do echo $i > f$i; done');
  const names = (await readdir(path('many'))).map((name) => `many/${name}`);
  expect(names.length).toBe(3_000);
  await seen(names);
  await does('rm -rf many');
  await seen(names);
  // It goes on as before.
  forget();
  await does('mkdir many && echo 1 > many/one');
  await tells('many/one');
  expect(await disk.read('many/one')).toMatchObject({ kind: 'file', sizeBytes: 2 });
}, 60_000);

test('a folder that was closed and opened again is watched again', async () => {
  await using ends = new Ends();
  const { path, tells, forget, overflows } = await watched(ends);
  await mkdir(path('closed'));
  await writeFile(path('closed/a'), '1');
  await tells('closed/a');
  await chmod(path('closed'), 0);
  await chmod(path('closed'), 0o755);
  forget();
  await appendFile(path('closed/a'), '2');
  await tells('closed/a');
  expect(overflows()).toBe(1);
});

test('a linked folder is not looked into', async () => {
  await using ends = new Ends();
  const { path, tells, changed } = await watched(ends);
  const elsewhere = await mkdtemp(join(tmpdir(), 'atelier-elsewhere-'));
  ends.defer(() => rm(elsewhere, { recursive: true, force: true }));
  await writeFile(join(elsewhere, 'secret'), '');
  await symlink(elsewhere, path('link'));
  await tells('link');
  await writeFile(join(elsewhere, 'other'), '');
  await writeFile(path('after'), '');
  await tells('after');
  expect([...changed].toSorted()).toEqual(['after', 'link']);
});

test('a helper that was killed is started again, and all is to be looked at', async () => {
  await using ends = new Ends();
  const { path, disk, overflows, tells, forget, helper } = await watched(ends);
  await writeFile(path('a'), '1');
  await tells('a');
  for (let round = 1; round <= 2; round++) {
    process.kill(await helper(), 'SIGKILL');
    await expect.poll(overflows, { timeout: 15_000 }).toBe(1 + round);
    expect(await disk.read('a')).toMatchObject({ kind: 'file', sizeBytes: 1 });
    forget();
    await writeFile(path(`new-${round}`), '');
    await tells(`new-${round}`);
  }
  // What waits for an answer is told that there is none; the next one waits for the next helper.
  await writeFile(path('large'), Buffer.alloc(150_000_000));
  const reading = disk.read('large');
  process.kill(await helper(), 'SIGKILL');
  await expect(reading).rejects.toMatchObject({ code: 'unavailable' });
  expect(await disk.read('a')).toMatchObject({ kind: 'file' });
});

test('the disk comes back with the agent', async () => {
  await using ends = new Ends();
  const { disk, path, overflows, tells, restart } = await watched(ends);
  await restart();
  await expect.poll(overflows, { timeout: 15_000 }).toBe(2);
  await writeFile(path('a'), '1');
  await tells('a');
  expect(await disk.read('a')).toMatchObject({ kind: 'file' });
});

test.skipIf(!hasNamespaces)('without enough watches all is looked at every few seconds', async () => {
  await using ends = new Ends();
  const limit = 'echo 3 > /proc/sys/user/max_inotify_watches || exit 1; exec "$0" "$@"';
  const { does, tells, forget, overflows } = await watched(ends, ['unshare', '-Ur', 'sh', '-c', limit]);
  await does('for i in 1 2 3 4 5 6; do mkdir -p d$i/e && echo $i > d$i/e/f; done');
  await tells(...[1, 2, 3, 4, 5, 6].map((i) => `d${i}/e/f`));
  forget();
  await does('echo more >> d6/e/f && echo new > d5/e/g && rm d4/e/f && mv d3 d7');
  await tells('d6/e/f', 'd5/e/g', 'd4/e/f', 'd3/e/f', 'd7/e/f');
  expect(overflows()).toBe(1);
});

test('events beyond half of what the kernel keeps in one turn are told as missed', async () => {
  await using ends = new Ends();
  const directory = await mkdtemp(join(tmpdir(), 'atelier-watch-'));
  ends.defer(() => rm(directory, { recursive: true, force: true }));
  const changed: string[] = [];
  let overflows = 0;
  const events = { changed: (paths: string[]) => void changed.push(...paths), overflow: () => overflows++ };
  const watcher = new Watcher(directory, events, 50);
  watcher.start();
  ends.defer(() => watcher.stop());
  // Nothing else of this process goes on meanwhile: it gets all the events in one turn.
  execFileSync('/bin/sh', ['-c', 'for i in $(seq 200); do echo > $i; done; mkdir new'], { cwd: directory });
  await expect.poll(() => overflows, WAITS).toBeGreaterThan(0);
  // It goes on in what is there then, however often it said so before.
  const writing = async (): Promise<string[]> => {
    await writeFile(join(directory, 'new/file'), '');
    return changed;
  };
  await expect.poll(writing, WAITS).toContain('new/file');
});

test('whatever is done, in the end what was told covers what is different', async () => {
  await using ends = new Ends();
  const directory = await mkdtemp(join(tmpdir(), 'atelier-watch-'));
  ends.defer(() => rm(directory, { recursive: true, force: true }));
  const told = new Set<string>();
  const watcher = new Watcher(directory, {
    changed: (paths) => paths.forEach((path) => told.add(path)),
    overflow: () => told.add('overflow'),
  });
  watcher.start();
  ends.defer(() => watcher.stop());
  const random = randomOf(77);
  const touched = new Set<string>();
  for (let round = 0; round < 40; round++) {
    const script: string[] = [];
    for (let i = 0; i < 10; i++) {
      const [a, b] = [`d${random(4)}`, `d${random(4)}/e${random(3)}`];
      const actions = [
        `mkdir -p ${b}; echo ${round}-${i} > ${b}/f${random(3)}`,
        `rm -rf ${random(2) === 0 ? a : b}`,
        `[ -d ${a} ] && rm -rf ${a}x && mv ${a} ${a}x`,
        `[ -d ${a}x ] && [ ! -e ${a} ] && mv ${a}x ${a}`,
        `[ -d ${a} ] && echo ${round}-${i} > ${a}/g`,
      ];
      script.push(actions[random(actions.length)] as string);
    }
    const before = await contents(directory);
    told.clear();
    await run('/bin/bash', ['-c', script.join('\n') + '\ntrue'], { cwd: directory });
    const after = await contents(directory);
    const different = new Set(
      [...before.keys(), ...after.keys()].filter((path) => before.get(path) !== after.get(path)),
    );
    for (const path of different) touched.add(path);
    await expect.poll(() => told.has('overflow') || [...different].every((path) => told.has(path)), WAITS).toBe(true);
  }
  expect(touched.size).toBeGreaterThan(20);
});

/** Files with what tells their states apart. */
async function contents(directory: string): Promise<Map<string, string>> {
  const { stdout } = await run('find', ['.', '-type', 'f', '-printf', '%P %i %C@ %s\n'], { cwd: directory });
  const lines = stdout.split('\n').filter((text) => text !== '');
  return new Map(lines.map((text) => [text.slice(0, text.indexOf(' ')), text.slice(text.indexOf(' '))]));
}
