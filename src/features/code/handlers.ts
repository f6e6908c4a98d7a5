/** One function for each operation of runs. */
import { Types, type mongo } from 'mongoose';
import type { NodeCalls } from '../../cluster/index.ts';
import type { Audit } from '../../observability/audit.ts';
import {
  Fault,
  LIMITS,
  runRoom,
  type Handlers,
  type Input,
  type Rooms,
  type UserContext,
} from '../../protocol/index.ts';
import { duplicateIndexOf } from '../../storage/group-commit.ts';
import { derivedId } from '../chat/index.ts';
import type { codeContract, codeEvents } from './contract.ts';
import type { RunRecord } from './model.ts';
import type { RunResult, RunState } from './runs.ts';

export interface ExecRequest {
  runId: string;
  projectId: string;
  command: string;
  timeoutMs: number;
}

export interface CodeHandlerDeps {
  rows: mongo.Collection<RunRecord>;
  calls: NodeCalls;
  rooms: Pick<Rooms<typeof codeEvents>, 'join' | 'listening'>;
  nodeId: string;
  require: (projectId: string, userId: string, may: 'read' | 'write') => Promise<void>;
  requireUse: (userId: string) => Promise<void>;
  /** The node that has the project's sandbox, once it runs. */
  nodeOf: (projectId: string) => Promise<string>;
  /** Starts a snippet or file in a sandbox of its own, on this node. */
  run: (runId: string, userId: string, request: RunRequest) => Promise<void>;
  audit: Audit;
  now: () => number;
}

export type RunRequest = Omit<Input<(typeof codeContract)['code:run']>, 'wait' | 'clientId' | 'timeoutMs'> & {
  timeoutMs: number;
};

/** How long the node of a run may take to answer. */
const CALL_MS = 5_000;

export function createCodeHandlers(deps: CodeHandlerDeps): Handlers<typeof codeContract> {
  const { rows, calls, rooms, nodeId, require, requireUse, nodeOf, run, audit, now } = deps;

  interface NewRun {
    operation: 'code:run' | 'sandbox:exec';
    projectId: string | undefined;
    clientId: string | undefined;
    nodeId: string;
    timeoutMs: number;
  }

  /** The run's row: a new one, or the one that a request with the same `clientId` has made. */
  async function claim(userId: string, { operation, projectId, clientId, nodeId, timeoutMs }: NewRun) {
    const _id =
      clientId === undefined ? new Types.ObjectId() : derivedId(userId, operation, projectId ?? userId, clientId);
    const row: RunRecord = {
      _id,
      userId: new Types.ObjectId(userId),
      ...(projectId === undefined ? {} : { projectId: new Types.ObjectId(projectId) }),
      nodeId,
      expiresAt: new Date(now() + LIMITS.sandboxStartMs + timeoutMs + LIMITS.runKeptMs),
    };
    try {
      await rows.insertOne(row);
      return { row, isNew: true };
    } catch (error) {
      if (duplicateIndexOf(error) === undefined) throw error;
      return { row: (await rows.findOne({ _id })) ?? row, isNew: false };
    }
  }

  /** Starts what has a row, with its caller listening. The row goes with a start that failed. */
  async function begin(row: RunRecord, { connectionId }: UserContext, start: () => Promise<void>): Promise<void> {
    const room = runRoom(row._id.toHexString());
    if (connectionId !== undefined) {
      rooms.join({ connectionId }, room);
      await rooms.listening(room);
    }
    try {
      await start();
    } catch (error) {
      await rows.deleteOne({ _id: row._id });
      throw error;
    }
  }

  /** The run, for whoever may know of it. */
  async function find(runId: string, userId: string, may: 'read' | 'write'): Promise<RunRecord> {
    const row = await rows.findOne({ _id: new Types.ObjectId(runId) });
    if (!row) throw new Fault('not_found', 'There is no such run any more');
    if (row.userId.toHexString() === userId) return row;
    if (!row.projectId) throw new Fault('not_found', 'There is no such run any more');
    await require(row.projectId.toHexString(), userId, may);
    return row;
  }

  const resultOf = async ({ _id, nodeId }: RunRecord, timeoutMs: number): Promise<RunResult> =>
    (await calls.call(nodeId, 'code.result', { runId: _id.toHexString() }, timeoutMs + CALL_MS)) as RunResult;

  return {
    async 'code:run'({ wait, clientId, timeoutMs = LIMITS.runDefaultMs, ...request }, context) {
      const { userId } = context.session;
      const { projectId, code, path } = request;
      if ((code === undefined) === (path === undefined)) throw new Fault('invalid', 'Give either code or path');
      if (path !== undefined && projectId === undefined) throw new Fault('invalid', 'A path needs its projectId');
      if (projectId === undefined) await requireUse(userId);
      else await require(projectId, userId, 'read');
      const { row, isNew } = await claim(userId, { operation: 'code:run', projectId, clientId, nodeId, timeoutMs });
      const runId = row._id.toHexString();
      if (isNew) {
        await begin(row, context, () => run(runId, userId, { ...request, timeoutMs }));
        audit.record({ action: 'code.run', userId, target: projectId ?? runId, ok: true, origin: context.origin });
      }
      return { runId, ...(wait ? await resultOf(row, timeoutMs) : {}) };
    },

    async 'code:attach'({ runId, after }, { session, connectionId }) {
      const row = await find(runId, session.userId, 'read');
      // Before it is looked at: what comes then is an event.
      if (connectionId !== undefined) {
        rooms.join({ connectionId }, runRoom(runId));
        await rooms.listening(runRoom(runId));
      }
      return (await calls.call(row.nodeId, 'code.state', { runId, after }, CALL_MS)) as RunState;
    },

    async 'code:stop'({ runId }, { session }) {
      const row = await find(runId, session.userId, 'write');
      await calls.call(row.nodeId, 'code.stop', { runId }, CALL_MS);
      return {};
    },

    async 'sandbox:exec'({ projectId, command, clientId, timeoutMs = LIMITS.execDefaultMs }, context) {
      const { userId } = context.session;
      await require(projectId, userId, 'write');
      const owner = await nodeOf(projectId);
      const { row, isNew } = await claim(userId, {
        operation: 'sandbox:exec',
        projectId,
        clientId,
        nodeId: owner,
        timeoutMs,
      });
      const runId = row._id.toHexString();
      if (isNew) {
        const request: ExecRequest = { runId, projectId, command, timeoutMs };
        await begin(row, context, async () => void (await calls.call(owner, 'code.exec', request, CALL_MS)));
        audit.record({ action: 'sandbox.exec', userId, target: projectId, ok: true, origin: context.origin });
      }
      return { runId };
    },
  };
}
