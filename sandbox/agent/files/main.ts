/**
 * The file helper's process, which a server starts as the sandbox's user: it does to the files of a workspace what the
 * server asks for on its stdin, tells on its stdout what changes, and ends with them.
 */
import { FrameParser } from '../../../src/sandbox/agent-protocol/index.ts';
import {
  encodeHelperMessage,
  HELPER_LIMITS,
  HELPER_TYPES,
  PartCollector,
  type Call,
} from '../../../src/sandbox/disk/helper-protocol.ts';
import { Calls } from './calls.ts';

/** Changes that are not worth naming one by one: a server looks at everything as fast. */
const MOST_CHANGES = 5_000;

const say = (type: number, channel: number, value: unknown, bytes?: Uint8Array): void =>
  void process.stdout.write(encodeHelperMessage(type, channel, value, bytes));

const overflow = (): void => say(HELPER_TYPES.notice, 0, { paths: [] });

function changed(paths: readonly string[]): void {
  if (paths.length > MOST_CHANGES) return overflow();
  let page: string[] = [];
  let sizeBytes = 0;
  const tell = (): void => {
    if (page.length > 0) say(HELPER_TYPES.notice, 0, { paths: page });
    page = [];
    sizeBytes = 0;
  };
  for (const path of paths) {
    const bytes = Buffer.byteLength(path);
    if (bytes > HELPER_LIMITS.pathBytes) continue;
    if (page.length === HELPER_LIMITS.paths || sizeBytes + bytes > HELPER_LIMITS.pathsBytes) tell();
    page.push(path);
    sizeBytes += bytes;
  }
  tell();
}

const calls = new Calls({ changed, overflow });
const parser = new FrameParser();
const parts = new PartCollector();

async function answer(channel: number, payload: Uint8Array): Promise<void> {
  try {
    const call = JSON.parse(Buffer.from(payload).toString()) as Call;
    const { value, bytes } = await calls.answer(call, parts.take(channel));
    say(HELPER_TYPES.answer, channel, value, bytes);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    say(HELPER_TYPES.failure, channel, typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : 'failed');
  }
}

process.stdin.on('data', (piece: Uint8Array) => {
  for (const frame of parser.push(piece)) {
    if (frame.type === HELPER_TYPES.part) parts.add(frame);
    else void answer(frame.channel, frame.payload);
  }
});
process.stdin.on('end', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));
