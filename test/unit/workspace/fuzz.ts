/**
 * Rounds of edits on both sides at once: `node --import ./test/support/typescript.mjs test/unit/workspace/fuzz.ts 1 200`
 * runs the seeds from 1 to 200.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { oneOf, randomOf, type Random } from '../../support/random.ts';
import { differencesOf, occurrences } from './check.ts';
import { openWorld, type World } from './world.ts';

export interface FuzzOutcome {
  seed: number;
  rounds: number;
  tokens: number;
  problems: string[];
}

/** Each begins and ends with a character of its own, so that no comparison takes a part of one for another's. */
const TOKEN = /[\u4E00-\u9FFF][ED]\d+[\uAC00-\uD7A3]/g;
const FIRST_BEGIN = 0x4e00;
const FIRST_END = 0xac00;
const ROUNDS = 40;
const NAMES = ['a.ts', 'b.ts', 'src/c.ts', 'src/d.ts', 'src/e/f.ts'];
const SPICE = ['\n', '\n\n', '😀', '😁', 'é', '\uD83D', '\uDE00', ' ', '// '];

export async function fuzz(seed: number): Promise<FuzzOutcome> {
  await using world = await openWorld();
  return await new Fuzz(world, randomOf(seed)).run(seed);
}

class Fuzz {
  readonly #world: World;
  readonly #random: Random;
  readonly #tokens = new Set<string>();
  /** Somebody has deleted them, or a part of them. */
  readonly #deleted = new Set<string>();

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  async run(seed: number): Promise<FuzzOutcome> {
    const world = this.#world;
    const lines = Array.from({ length: 20 }, (_, n) => `line ${n}\n`).join('');
    for (const name of NAMES.slice(0, 3)) world.project.add(name, `${name}\n${lines}`);
    await world.restart();
    world.beforeSwap = async (path) => {
      if (this.#chance(4)) this.#race(path);
    };
    for (let round = 0; round < ROUNDS; round++) {
      await (this.#chance(6) ? this.#rename() : this.#round());
      if (this.#chance(10)) await this.#crash();
    }
    world.beforeSwap = async () => {};
    await world.settle({ late: true });
    return { seed, rounds: ROUNDS, tokens: this.#tokens.size, problems: await this.#problems() };
  }

  async #round(): Promise<void> {
    const world = this.#world;
    const actions = [() => this.#live(), () => this.#disk()];
    if (this.#chance(3)) actions.reverse();
    for (const act of actions) if (!this.#chance(4)) act();
    // The rest comes while it is at work.
    const settled = this.#chance(2) ? world.settle() : undefined;
    for (let n = this.#random(3); n > 0; n--) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#chance(2)) this.#editLive();
      else this.#editDisk();
    }
    await settled;
    if (this.#chance(5)) await world.settle({ late: true });
  }

  /** On the disk, with edits of people: a program that changes it too in that moment has made another file. */
  async #rename(): Promise<void> {
    const { path } = this.#world;
    await this.#world.settle({ late: true });
    const [file, name] = [this.#anyOnDisk(), path(this.#newName())];
    if (file === undefined || existsSync(name)) return;
    mkdirSync(dirname(name), { recursive: true });
    renameSync(path(file), name);
    this.#editLive();
    await this.#world.settle({ late: true });
  }

  async #crash(): Promise<void> {
    const { fuse } = this.#world;
    this.#editLive();
    this.#editDisk();
    fuse.burnAfter(this.#random(8));
    await this.#world.settle({ late: true });
    if (this.#chance(2)) {
      fuse.burnAfter(this.#random(6));
      await this.#world.restart();
    }
    fuse.burnAfter(undefined);
    this.#editLive();
    this.#editDisk();
    await this.#world.restart();
  }

  #live(): void {
    const { project } = this.#world;
    const files = [...project.files.values()];
    const file = files.length > 0 ? oneOf(this.#random, files) : undefined;
    switch (this.#random(12)) {
      case 0: {
        const name = this.#newName();
        if (!project.at(name)) project.add(name, `${this.#token('E')}\n`);
        return;
      }
      case 1:
        if (!file) return;
        this.#deletes(project.text(file.fileId));
        void project.remove(file.fileId);
        return;
      case 2:
        if (file) void project.move(file.fileId, this.#newName());
        return;
      case 3: {
        const other = oneOf(this.#random, files.length > 0 ? files : [undefined]);
        if (!file || !other || file === other) return;
        project.files.set(file.fileId, { ...file, path: other.path });
        project.files.set(other.fileId, { ...other, path: file.path });
        return;
      }
      default:
        this.#editLive();
    }
  }

  #editLive(): void {
    const { project } = this.#world;
    const files = [...project.files.values()];
    if (files.length === 0) return;
    const { fileId } = oneOf(this.#random, files);
    const before = project.text(fileId);
    project.edit(fileId, (text) => {
      const { index, deleteCount, insert } = this.#change(before, 'E');
      text.delete(index, deleteCount);
      text.insert(index, insert);
    });
  }

  #disk(): void {
    const { path } = this.#world;
    const file = this.#anyOnDisk();
    switch (this.#random(12)) {
      case 0: {
        const name = path(this.#newName());
        if (existsSync(name)) return;
        mkdirSync(dirname(name), { recursive: true });
        return writeFileSync(name, `${this.#token('D')}\n`);
      }
      case 1:
        if (file === undefined) return;
        this.#deletes(readFileSync(path(file), 'utf8'));
        return rmSync(path(file));
      case 2: {
        if (file === undefined) return;
        const before = readFileSync(path(file), 'utf8').replaceAll('\r\n', '\n');
        return writeFileSync(path(file), this.#chance(2) ? before.replaceAll('\n', '\r\n') : before);
      }
      default:
        this.#editDisk();
    }
  }

  #editDisk(file = this.#anyOnDisk()): void {
    if (file === undefined) return;
    const { path } = this.#world;
    const before = readFileSync(path(file), 'utf8');
    const { index, deleteCount, insert } = this.#change(before, 'D');
    const after = before.slice(0, index) + insert + before.slice(index + deleteCount);
    // As editors do that write another file and rename it, or in place.
    if (this.#chance(2)) return writeFileSync(path(file), after);
    mkdirSync(path('.cache'), { recursive: true });
    writeFileSync(path('.cache/new'), after);
    renameSync(path('.cache/new'), path(file));
  }

  /** While the file is being replaced. */
  #race(path: string): void {
    if (!existsSync(this.#world.path(path))) return;
    if (!this.#chance(6)) return this.#editDisk(path);
    this.#deletes(readFileSync(this.#world.path(path), 'utf8'));
    rmSync(this.#world.path(path));
  }

  /** At a place that is in no token, mostly with a token of its own; sometimes something goes, with what it touches. */
  #change(text: string, side: 'E' | 'D'): { index: number; deleteCount: number; insert: string } {
    let index = this.#random(text.length + 1);
    for (const { index: start, 0: token } of text.matchAll(TOKEN)) {
      if (index > start && index < start + token.length) index = start;
    }
    if (side === 'D') index = wholeAt(text, index);
    const insert = this.#chance(4) ? oneOf(this.#random, SPICE) : this.#token(side) + (this.#chance(2) ? '\n' : '');
    if (!this.#chance(5)) return { index, deleteCount: 0, insert };
    const end = Math.min(text.length, index + this.#random(60));
    for (const { index: start, 0: token } of text.matchAll(TOKEN)) {
      if (start < end && start + token.length > index) this.#deleted.add(token);
    }
    return { index, deleteCount: end - index, insert };
  }

  #deletes(text: string): void {
    for (const [token] of text.matchAll(TOKEN)) this.#deleted.add(token);
  }

  #token(side: 'E' | 'D'): string {
    const n = this.#tokens.size;
    const token = `${String.fromCharCode(FIRST_BEGIN + n)}${side}${n}${String.fromCharCode(FIRST_END + n)}`;
    this.#tokens.add(token);
    return token;
  }

  #newName(): string {
    return this.#chance(2) ? oneOf(this.#random, NAMES) : `new/${this.#random(30)}.ts`;
  }

  #anyOnDisk(): string | undefined {
    const all = [...NAMES, ...Array.from({ length: 30 }, (_, n) => `new/${n}.ts`)];
    const present = all.filter((name) => existsSync(this.#world.path(name)));
    return present.length > 0 ? oneOf(this.#random, present) : undefined;
  }

  #chance(of: number): boolean {
    return this.#random(of) === 0;
  }

  async #problems(): Promise<string[]> {
    const world = this.#world;
    const problems = [...world.failures.map(String), ...(await differencesOf(world))];
    for (const token of this.#tokens) {
      const count = occurrences(world, token);
      if (count > 1 || (count === 0 && !this.#deleted.has(token))) problems.push(`${token} is there ${count} times`);
    }
    world.fuse.burnAfter(undefined);
    await world.settle({ late: true });
    if (world.fuse.count > 0) problems.push(`It does not come to rest: ${world.fuse.names.join(', ')}`);
    return problems;
  }
}

/** Not between the halves of a pair, nor of a line end. */
const wholeAt = (text: string, index: number): number =>
  /^(?:[\uDC00-\uDFFF]|\n)/.test(text.slice(index)) && /[\uD800-\uDBFF\r]$/.test(text.slice(0, index))
    ? index - 1
    : index;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [first, last] = [Number(process.argv[2] ?? 1), Number(process.argv[3] ?? 100)];
  let [rounds, failed] = [0, 0];
  for (let seed = first; seed <= last; seed++) {
    const outcome = await fuzz(seed);
    rounds += outcome.rounds;
    if (outcome.problems.length === 0) continue;
    failed++;
    console.error(`Seed ${seed}:\n  ${outcome.problems.slice(0, 8).join('\n  ')}`);
  }
  console.log(`${rounds} rounds, ${failed} of ${last - first + 1} seeds failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
