import { connectionOf, Fault, LIMITS, type Handlers } from '../../protocol/index.ts';
import type { terminalsContract } from './contract.ts';
import type { OwnerOf, TerminalOwner } from './owner.ts';
import type { Recordings } from './recordings.ts';
import { newTerminalId, projectOf } from './terminal-id.ts';
import type { TerminalWatches } from './terminal-watches.ts';
import { withoutAnswers } from './typed-input.ts';

export interface HandlersDeps {
  watches: TerminalWatches;
  recordings: Recordings;
  ownerOf: OwnerOf;
  /** Rejects with `not_found` or `forbidden`. */
  requireMember: (projectId: string, userId: string) => Promise<unknown>;
  requireWriter: (projectId: string, userId: string) => Promise<unknown>;
  authorOf: (userId: string) => Promise<{ name: string; email: string }>;
}

export function createHandlers(deps: HandlersDeps): Handlers<typeof terminalsContract> {
  const { watches, recordings, ownerOf, requireMember, requireWriter, authorOf } = deps;

  /** Whoever has the sandbox; for somebody who may type in it. */
  async function ownerFor(terminalId: string, userId: string): Promise<TerminalOwner> {
    const projectId = projectOf(terminalId);
    await requireWriter(projectId, userId);
    const owner = await ownerOf(projectId, { start: false });
    if (!owner) throw new Fault('not_found', 'There is no such terminal');
    return owner;
  }

  return {
    async 'terminal:open'({ projectId, cols, rows, credits, clientId, command, cwd, env }, context) {
      const connectionId = connectionOf(context);
      const { userId } = context.session;
      await requireWriter(projectId, userId);
      const [owner, author] = await Promise.all([ownerOf(projectId, { start: true }), authorOf(userId)]);
      if (!owner) throw new Fault('unavailable', 'The sandbox could not be started');
      const terminalId = newTerminalId(projectId, userId, clientId);
      const size = { cols, rows };
      await owner.open({
        terminalId,
        size,
        author,
        ...(command === undefined ? {} : { command }),
        ...(cwd === undefined ? {} : { cwd }),
        ...(env === undefined ? {} : { env }),
      });
      return watches.attach({ connectionId, userId, terminalId, after: 0, size, credits });
    },

    async 'terminal:attach'({ terminalId, after, cols, rows, credits }, context) {
      const size = cols === undefined || rows === undefined ? undefined : { cols, rows };
      const { userId } = context.session;
      return watches.attach({ connectionId: connectionOf(context), userId, terminalId, after, size, credits });
    },

    async 'terminal:detach'({ terminalId }, context) {
      watches.detach(connectionOf(context), terminalId);
      return {};
    },

    async 'terminal:input'({ terminalId, data }, { session }) {
      if (Buffer.byteLength(data) > LIMITS.terminalInputBytes) {
        throw new Fault('too_large', `At most ${LIMITS.terminalInputBytes} bytes at once`);
      }
      const owner = await ownerFor(terminalId, session.userId);
      const typed = withoutAnswers(data);
      if (typed.length > 0) await owner.input({ terminalId, data: typed });
      return {};
    },

    async 'terminal:resize'({ terminalId, cols, rows }, context) {
      const owner = await ownerFor(terminalId, context.session.userId);
      const size = await watches.resize(connectionOf(context), terminalId, { cols, rows }, owner);
      return { size: size ?? (await owner.get({ terminalId })).size };
    },

    async 'terminal:signal'({ terminalId, signal }, { session }) {
      await (await ownerFor(terminalId, session.userId)).signal({ terminalId, signal });
      return {};
    },

    async 'terminal:close'({ terminalId }, { session }) {
      await (await ownerFor(terminalId, session.userId)).close({ terminalId });
      return {};
    },

    async 'terminal:list'({ projectId }, { session }) {
      await requireMember(projectId, session.userId);
      const owner = await ownerOf(projectId, { start: false });
      return { items: (await owner?.list()) ?? [] };
    },

    async 'terminal:credit'({ terminalId, credits }, context) {
      watches.grant(connectionOf(context), terminalId, credits);
      return {};
    },

    async 'terminal:recording'({ terminalId, on }, { session: { userId } }) {
      const projectId = projectOf(terminalId);
      await (on === undefined ? requireMember(projectId, userId) : requireWriter(projectId, userId));
      const owner = await ownerOf(projectId, { start: false });
      if (!owner && on === true) throw new Fault('not_found', 'There is no such terminal');
      const state = (await owner?.record({ terminalId, ...(on === undefined ? {} : { on }) })) ?? { isOn: false };
      return { ...(await recordings.find(terminalId)), ...state };
    },
  };
}
