/** Does what a server asks of a workspace's files. */
import { PassThrough } from 'node:stream';
import type { Arguments, Call, HelperOp } from '../../../src/sandbox/disk/helper-protocol.ts';
import { HELPER_LIMITS } from '../../../src/sandbox/disk/helper-protocol.ts';
import { createDirectoryDisk } from '../../../src/sandbox/disk/directory-disk.ts';
import type { WorkspaceDisk } from '../../../src/sandbox/disk/workspace-disk.ts';
import { Watcher, type WatcherEvents } from './watcher.ts';

/** An answer, and the bytes that go before it. */
export interface Answered {
  value: unknown;
  bytes?: Uint8Array;
}

/** Something that is taken or given in pieces. */
type Handle =
  | { kind: 'content'; chunks: AsyncIterator<Uint8Array> }
  | { kind: 'list'; paths: AsyncIterator<string> }
  | { kind: 'stage'; input: PassThrough; done: Promise<void> };

/** What the server has sent is what its types say. */
type Asked = Arguments & { directory: string; textBytes: number; mostBytes: number } & {
  path: string;
  id: string;
  from: string;
  to: string;
  handle: number;
};

export class Calls {
  readonly #events: WatcherEvents;
  readonly #handles = new Map<number, Handle>();
  #nextHandle = 1;
  #disk: WorkspaceDisk | undefined;
  #directory = '';
  #watcher: Watcher | undefined;

  constructor(events: WatcherEvents) {
    this.#events = events;
  }

  async answer({ op, args }: Call, bytes: Uint8Array): Promise<Answered> {
    const asked = args as Asked;
    if (op === 'begin') {
      this.#directory = asked.directory;
      this.#disk = createDirectoryDisk(asked);
      return { value: null };
    }
    if (!this.#disk) throw new Error('Not begun');
    return this.#do(this.#disk, op, asked, bytes);
  }

  async #do(disk: WorkspaceDisk, op: Exclude<HelperOp, 'begin'>, asked: Asked, bytes: Uint8Array): Promise<Answered> {
    switch (op) {
      case 'watch':
        this.#watcher?.stop();
        this.#watcher = new Watcher(this.#directory, this.#events);
        this.#watcher.start();
        return { value: null };
      case 'read':
        return readOf(disk, asked.path);
      case 'open':
        return this.#opened({ kind: 'content', chunks: disk.content(asked.path)[Symbol.asyncIterator]() });
      case 'next': {
        const { done, value } = await this.#get(asked.handle, 'content').chunks.next();
        return done ? { value: false } : { value: true, bytes: value };
      }
      case 'list':
        return this.#opened({ kind: 'list', paths: disk.list()[Symbol.asyncIterator]() });
      case 'page':
        return { value: await pageOf(this.#get(asked.handle, 'list').paths) };
      case 'stage': {
        const input = new PassThrough();
        const done = disk.stage(asked.id, input, asked.path);
        // Told by the next call.
        done.catch(() => input.destroy());
        return this.#opened({ kind: 'stage', input, done });
      }
      case 'write': {
        const { input, done } = this.#get(asked.handle, 'stage');
        if (!input.write(bytes)) {
          await Promise.race([done, new Promise((resolve) => input.once('drain', resolve).once('close', resolve))]);
        }
        return { value: null };
      }
      case 'finish': {
        const { input, done } = this.#get(asked.handle, 'stage');
        input.end();
        await done;
        return { value: null };
      }
      case 'close':
        await this.#close(asked.handle);
        return { value: null };
      case 'replace':
        return { value: await disk.replace(asked.id, asked.path) };
      case 'place':
        return { value: await disk.place(asked.id, asked.path) };
      case 'take':
        return { value: await disk.take(asked.id, asked.path) };
      case 'putBack':
        await disk.putBack(asked.id, asked.path);
        return { value: null };
      case 'forget':
        await disk.forget(asked.id);
        return { value: null };
      case 'ids':
        return { value: (await disk.ids()).filter((id) => id.length <= 64).slice(0, HELPER_LIMITS.paths) };
      case 'move':
        return { value: await disk.move(asked.from, asked.to) };
    }
  }

  #opened(handle: Handle): Answered {
    if (this.#handles.size >= HELPER_LIMITS.handles) throw new Error('Too many handles');
    const number = this.#nextHandle++;
    this.#handles.set(number, handle);
    return { value: number };
  }

  #get<K extends Handle['kind']>(number: number, kind: K): Extract<Handle, { kind: K }> {
    const handle = this.#handles.get(number);
    if (handle?.kind !== kind) throw new Error('No such handle');
    return handle as Extract<Handle, { kind: K }>;
  }

  async #close(number: number): Promise<void> {
    const handle = this.#handles.get(number);
    this.#handles.delete(number);
    if (handle?.kind === 'content') await handle.chunks.return?.();
    if (handle?.kind === 'list') await handle.paths.return?.();
    if (handle?.kind !== 'stage') return;
    // What was not finished fails.
    handle.input.destroy();
    await handle.done.catch(() => {});
  }
}

async function readOf(disk: WorkspaceDisk, path: string): Promise<Answered> {
  const entry = await disk.read(path);
  if (entry.kind !== 'file') return { value: entry };
  const { bytes, ...rest } = entry;
  return { value: { ...rest, withBytes: bytes !== undefined }, ...(bytes ? { bytes } : {}) };
}

async function pageOf(list: AsyncIterator<string>): Promise<{ paths: string[]; isLast: boolean }> {
  const paths: string[] = [];
  let sizeBytes = 0;
  while (paths.length < HELPER_LIMITS.paths && sizeBytes < HELPER_LIMITS.pathsBytes - HELPER_LIMITS.pathBytes) {
    const { done, value } = await list.next();
    if (done) return { paths, isLast: true };
    if (Buffer.byteLength(value) > HELPER_LIMITS.pathBytes) continue;
    sizeBytes += Buffer.byteLength(value);
    paths.push(value);
  }
  return { paths, isLast: false };
}
