/** What every driver of sandboxes does, whatever it runs them in. */
import { expect, test } from 'vitest';
import type { SandboxDriver } from '../../src/sandbox/driver.ts';
import { view } from '../sandbox/agent-process.ts';
import { outputOf, runIn, specOf } from '../support/docker.ts';

export interface DriverStage extends AsyncDisposable {
  /** A driver of this deployment: a second one is what its next server has. */
  driver(): Promise<SandboxDriver>;
}

export function driverContract(createStage: () => Promise<DriverStage>): void {
  test('a sandbox starts, runs programs in its folders, and is gone when it is removed', async () => {
    await using stage = await createStage();
    const driver = await stage.driver();
    const spec = specOf({ volume: 'a'.repeat(24) });
    const sandbox = await driver.start(spec);
    expect(sandbox.id).toBe(spec.id);
    const { workDir, homeDir } = sandbox;
    expect(
      await outputOf(sandbox, 'pwd; echo $HOME; mkdir -p "$TMPDIR"; touch "$TMPDIR/x" ~/y z && echo written'),
    ).toBe(`${workDir}\n${homeDir}\nwritten\n`);
    await sandbox.remove();
    await sandbox.remove();
    expect((await driver.find()).filter(({ id, state }) => id === spec.id && state !== 'ended')).toEqual([]);
    await driver.remove(spec.id);
    await expect(driver.adopt(spec.id, 2)).rejects.toMatchObject({ code: 'not_found' });
    await driver.removeVolume('a'.repeat(24));
    await driver.removeVolume('a'.repeat(24));
    await driver.close();
  });

  test('a volume keeps its files for the next sandbox, unless it is in memory, and is empty after its removal', async () => {
    await using stage = await createStage();
    const driver = await stage.driver();
    const volume = 'b'.repeat(24);
    const first = await driver.start(specOf({ volume }));
    await outputOf(first, 'echo kept > file; echo kept > ~/file; mkdir folder; ln -s /etc/passwd link');
    await first.remove();
    const second = await driver.start(specOf({ volume }));
    const expected = driver.volumes === 'memory' ? '' : 'kept\nkept\nlink -> /etc/passwd\n';
    expect(await outputOf(second, 'cat file ~/file 2>/dev/null; ls -l link 2>/dev/null | grep -o "link.*"')).toBe(
      expected,
    );
    expect(await outputOf(second, 'touch new folder/new file 2>&1')).toBe(
      driver.volumes === 'memory' ? "touch: cannot touch 'folder/new': No such file or directory\n" : '',
    );
    await second.remove();
    await driver.removeVolume(volume);
    const third = await driver.start(specOf({ volume }));
    expect(await outputOf(third, 'ls -A')).toBe('');
    await third.remove();
    await driver.removeVolume(volume);
  });

  test('it tells when a sandbox ends by itself, and not when it is asked to', async () => {
    await using stage = await createStage();
    const driver = await stage.driver();
    const [asked, other] = [await driver.start(specOf()), await driver.start(specOf())];
    const told: string[] = [];
    void asked.ended.then((reason) => told.push(reason));
    await asked.remove();
    // Somebody else does.
    await driver.remove(other.id);
    expect(await other.ended).toBe('exited');
    expect(told).toEqual([]);
    await other.remove();
  });

  test('a start that is given up leaves nothing', async () => {
    await using stage = await createStage();
    const driver = await stage.driver();
    await expect(driver.start(specOf(), AbortSignal.abort())).rejects.toThrow('aborted');
    const giveUp = new AbortController();
    const starting = driver.start(specOf(), giveUp.signal);
    setImmediate(() => giveUp.abort());
    await expect(starting).rejects.toThrow('aborted');
    expect(await driver.find()).toEqual([]);
  });
}

/** Of drivers whose sandboxes outlive their servers, and can be paused. */
export function survivingDriverContract(createStage: () => Promise<DriverStage>): void {
  test('the next server adopts a sandbox, and reads on at the byte where the last one ended', async () => {
    await using stage = await createStage();
    const driver = await stage.driver();
    const spec = specOf();
    const sandbox = await driver.start(spec);
    const line =
      'for i in $(seq 20000); do echo line $i; [ $((i % 200)) = 0 ] && sleep 0.01; done; read x; echo "got $x"';
    const viewer = await runIn(sandbox, 't', line);
    await viewer.sees('line 500\r\n');
    await sandbox.leave();
    const seen = viewer.bytes().subarray(0, viewer.position());

    const next = await stage.driver();
    expect(await next.find()).toMatchObject([{ id: spec.id, kind: 'project', state: 'running' }]);
    const adopted = await next.adopt(spec.id, 2);
    await adopted.link.connected();
    const rest = view(adopted.link, 't', { after: seen.length });
    await rest.sees('line 20000\r\n');
    adopted.link.input('t', Buffer.from('hello\n'));
    await rest.ends();
    const all = Array.from({ length: 20_000 }, (_, i) => `line ${i + 1}\r\n`).join('');
    expect(Buffer.concat([seen, rest.bytes()]).toString() === `${all}hello\r\ngot hello\r\n`).toBe(true);
    await adopted.remove();
  });

  test('what runs in a paused sandbox stands still, and goes on; it can be removed too', async () => {
    await using stage = await createStage();
    const driver = await stage.driver();
    const [sandbox, other] = [await driver.start(specOf()), await driver.start(specOf())];
    const viewer = await runIn(sandbox, 't', 'i=0; while sleep 0.02; do i=$((i+1)); echo "tick $i"; done');
    await viewer.sees('tick 5');
    await sandbox.pause();
    await sandbox.pause();
    expect(await driver.find()).toContainEqual(expect.objectContaining({ id: sandbox.id, state: 'paused' }));
    // What was on its way comes; then nothing, however long another one runs.
    await outputOf(other, 'sleep 0.1');
    const still = viewer.position();
    await outputOf(other, 'sleep 0.2');
    expect(viewer.position()).toBe(still);
    await sandbox.resume();
    await sandbox.resume();
    await expect.poll(() => viewer.position()).toBeGreaterThan(still);
    await sandbox.pause();
    await sandbox.remove();
    expect((await driver.find()).map(({ id }) => id)).toEqual([other.id]);
  });
}
