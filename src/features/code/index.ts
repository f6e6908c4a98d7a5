/** Running code: snippets in sandboxes of their own, and commands without a terminal in a project's. */
import type { Connection } from 'mongoose';
import type { NodeCalls } from '../../cluster/index.ts';
import type { Audit } from '../../observability/audit.ts';
import type { Log } from '../../observability/log.ts';
import { Fault, LIMITS, type Handlers, type Rooms } from '../../protocol/index.ts';
import type { Sandbox } from '../../sandbox/driver.ts';
import type { codeContract, codeEvents } from './contract.ts';
import { createCodeHandlers, type ExecRequest, type RunRequest } from './handlers.ts';
import { memoryKills, putFiles, startIn, type RunFile } from './launching.ts';
import { createRunCollection } from './model.ts';
import { commandFor, snippetName } from './programs.ts';
import { Runs, type Launched } from './runs.ts';

export type { RunFile } from './launching.ts';

export interface CodeDeps {
  connection: Connection;
  calls: NodeCalls;
  rooms: Pick<Rooms<typeof codeEvents>, 'emit' | 'join' | 'leave' | 'listening'>;
  nodeId: string;
  sandboxes: {
    require: (projectId: string, userId: string, may: 'read' | 'write') => Promise<void>;
    requireUse: (userId: string) => Promise<void>;
    /** The node that has the project's sandbox, once it runs. */
    nodeOf: (projectId: string) => Promise<string>;
    /** The project's sandbox on this node, which counts as used while `done` has not been called. */
    here: (projectId: string) => Promise<{ sandbox: Sandbox; done: () => void } | undefined>;
    takeRun: (projectId: string | undefined, ownerId: string) => Promise<Sandbox>;
    endRun: (sandbox: Sandbox) => Promise<void>;
  };
  /** The files of a project, for the copy that a run gets, while the user may read them. */
  filesOf: (projectId: string, userId: string) => AsyncIterable<RunFile>;
  audit: Audit;
  log: Log;
  now: () => number;
}

export interface CodeFeature {
  handlers: Handlers<typeof codeContract>;
  /** Ends the runs of this node. */
  close(): Promise<void>;
}

export function createCode(deps: CodeDeps): CodeFeature {
  const { connection, calls, rooms, nodeId, sandboxes, filesOf, audit, log, now } = deps;
  const runs = new Runs({ rooms, log });

  async function launch(userId: string, request: RunRequest): Promise<Launched> {
    const { language, code, projectId } = request;
    const sandbox = await sandboxes.takeRun(projectId, userId);
    try {
      const path = request.path ?? snippetName(language);
      await putFiles(sandbox, filesFor(userId, { path, code, projectId }));
      return {
        process: await startIn(sandbox, commandFor(language, path)),
        ranOutOfMemory: async () => (await memoryKills(sandbox)) > 0,
        end: () => sandboxes.endRun(sandbox),
      };
    } catch (error) {
      await sandboxes.endRun(sandbox);
      throw error;
    }
  }

  async function* filesFor(
    userId: string,
    { path, code, projectId }: { path: string; code: string | undefined; projectId: string | undefined },
  ): AsyncGenerator<RunFile> {
    let isThere = code !== undefined;
    if (projectId !== undefined) {
      for await (const file of filesOf(projectId, userId)) {
        isThere ||= file.path === path;
        yield file;
      }
    }
    if (!isThere) throw new Fault('not_found', 'There is no such file');
    if (code === undefined) return;
    const bytes = Buffer.from(code);
    yield { path, sizeBytes: bytes.length, open: async () => bytesOf(bytes) };
  }

  async function exec({ runId, projectId, command, timeoutMs }: ExecRequest): Promise<void> {
    const used = await sandboxes.here(projectId);
    if (!used) throw new Fault('unavailable', 'The sandbox has been stopped', { retryAfterMs: 1_000 });
    const { sandbox, done } = used;
    const begin = async (): Promise<Launched> => {
      const before = await memoryKills(sandbox);
      return {
        process: await startIn(sandbox, ['bash', '-c', command]),
        ranOutOfMemory: async () => (await memoryKills(sandbox)) > before,
        end: async () => done(),
      };
    };
    const limits = { timeoutMs, outputChars: LIMITS.execOutputChars, keptChars: LIMITS.runKeptChars };
    await runs.begin(runId, begin, { limits }).catch((error: unknown) => {
      done();
      throw error;
    });
  }

  const runIdOf = (request: unknown): string => (request as { runId: string }).runId;
  const stops = [
    calls.serve('code.exec', (request) => exec(request as ExecRequest)),
    calls.serve('code.state', async (request) => runs.state(runIdOf(request), (request as { after: number }).after)),
    calls.serve('code.stop', async (request) => runs.stop(runIdOf(request))),
    calls.serve('code.result', (request) => runs.result(runIdOf(request))),
  ];

  return {
    handlers: createCodeHandlers({
      rows: createRunCollection(connection),
      calls,
      rooms,
      nodeId,
      require: sandboxes.require,
      requireUse: sandboxes.requireUse,
      nodeOf: sandboxes.nodeOf,
      run: (runId, userId, request) =>
        runs.begin(runId, () => launch(userId, request), {
          stdin: request.stdin,
          limits: {
            timeoutMs: request.timeoutMs,
            outputChars: LIMITS.runOutputChars,
            keptChars: LIMITS.runKeptChars,
          },
        }),
      audit,
      now,
    }),
    async close() {
      for (const stop of stops) stop();
      await runs.close();
    },
  };
}

async function* bytesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
