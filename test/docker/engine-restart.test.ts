/** An engine of its own, set to leave containers running, is killed and started again. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { expect, test } from 'vitest';
import { createEngine } from '../../src/sandbox/engine/engine.ts';
import { imageInputs, imageName } from '../../src/sandbox/image/image-context.ts';
import { spawnChild } from '../support/child.ts';
import { createDockerStage, runIn, specOf } from '../support/docker.ts';
import { hasPart } from '../support/parts.ts';

const canRun = process.getuid?.() === 0 && hasPart('dockerd');

test.skipIf(!canRun)(
  'the engine goes and comes, and neither a sandbox nor a byte of its output is lost',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'engine-'));
    const socket = join(folder, 'docker.sock');
    let daemon = await startEngine(folder, socket);
    try {
      await copyImage(socket);
      const engine = await createEngine({ host: `unix://${socket}` });
      await using stage = await createDockerStage(engine);
      const driver = await stage.driver();
      const spec = specOf({ volume: 'd'.repeat(24) });
      const sandbox = await driver.start(spec);
      const ends: string[] = [];
      void sandbox.ended.then((reason) => ends.push(reason));
      const viewer = await runIn(sandbox, 't', 'for i in $(seq 100); do echo line $i; read x; done; echo over');
      await viewer.sees('line 1\r\n');

      await daemon.end('SIGKILL');
      await expect(driver.start(specOf())).rejects.toMatchObject({ code: 'unavailable' });
      await expect(engine.version()).rejects.toMatchObject({ code: 'unavailable' });
      for (let i = 2; i <= 50; i++) {
        sandbox.link.input('t', Buffer.from('\n'));
        await viewer.sees(`line ${i}\r\n`);
      }

      daemon = await startEngine(folder, socket);
      expect(await driver.find()).toMatchObject([{ id: spec.id, state: 'running' }]);
      for (let i = 51; i <= 101; i++) {
        sandbox.link.input('t', Buffer.from('\n'));
        await viewer.sees(i <= 100 ? `line ${i}\r\n` : 'over');
      }
      await viewer.ends();
      expect(viewer.text().replaceAll(/^\r\n/gm, '')).toBe(
        `${Array.from({ length: 100 }, (_, i) => `line ${i + 1}\r\n`).join('')}over\r\n`,
      );
      expect(ends).toEqual([]);
      // It is heard of through the new engine.
      await driver.remove(spec.id);
      expect(await sandbox.ended).toBe('exited');
      await sandbox.remove();
    } finally {
      await daemon.end('SIGTERM');
      // It mounts its folder on itself, and forgets that when it is killed.
      await promisify(execFile)('umount', [join(folder, 'data')]).catch(() => {});
      await rm(folder, { recursive: true, force: true });
    }
  },
  180_000,
);

interface Daemon {
  end(signal: NodeJS.Signals): Promise<void>;
}

async function startEngine(folder: string, socket: string): Promise<Daemon> {
  const own = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--host', `unix://${socket}`];
  const network = ['--bridge=none', '--iptables=false'];
  // The machine's own may be used by it too.
  const containerd = [
    '--containerd-namespace',
    'atelier-test',
    '--containerd-plugins-namespace',
    'atelier-test-plugins',
  ];
  const args = [...own, '--pidfile', join(folder, 'docker.pid'), '--live-restore', ...network, ...containerd];
  const child = spawnChild('dockerd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (text: Buffer) => (said = (said + text.toString()).slice(-4_000)));
  const docker = new Docker({ socketPath: socket });
  const answers = (): Promise<boolean> =>
    docker.ping().then(
      () => true,
      () => false,
    );
  await expect.poll(answers, { timeout: 30_000, message: said }).toBe(true);
  return {
    async end(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    },
  };
}

/** From the machine's own engine. */
async function copyImage(socketPath: string): Promise<void> {
  const to = new Docker({ socketPath });
  const name = imageName(await imageInputs());
  const progress = await to.loadImage(await new Docker().getImage(name).get());
  await new Promise<void>((resolve, reject) => {
    to.modem.followProgress(progress, (error) => (error ? reject(error) : resolve()));
  });
}
