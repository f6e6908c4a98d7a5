/** One function for each operation of sandboxes. */
import type { Audit } from '../../observability/audit.ts';
import { type Handlers, type UserContext } from '../../protocol/index.ts';
import type { sandboxesContract } from './contract.ts';
import type { SandboxView } from './shapes.ts';

export interface SandboxHandlerDeps {
  /** Rejects whoever may not. */
  require: (projectId: string, userId: string, may: 'read' | 'write') => Promise<void>;
  view: (projectId: string) => Promise<SandboxView>;
  start: (projectId: string) => Promise<void>;
  stop: (projectId: string) => Promise<void>;
  previewUrl: (
    projectId: string,
    port: number,
    session: { userId: string; sessionId: string },
  ) => Promise<{ url: string; expiresInSeconds: number }>;
  audit: Audit;
}

export function createSandboxHandlers(deps: SandboxHandlerDeps): Handlers<typeof sandboxesContract> {
  const { require, view, start, stop, previewUrl, audit } = deps;

  function record(action: string, target: string, { session: { userId }, origin }: UserContext): void {
    audit.record({ action, userId, target, ok: true, origin });
  }

  return {
    async 'sandbox:status'({ projectId }, { session }) {
      await require(projectId, session.userId, 'read');
      return { sandbox: await view(projectId) };
    },

    async 'sandbox:start'({ projectId }, context) {
      await require(projectId, context.session.userId, 'write');
      await start(projectId);
      record('sandbox.start', projectId, context);
      return { sandbox: await view(projectId) };
    },

    async 'sandbox:stop'({ projectId }, context) {
      await require(projectId, context.session.userId, 'write');
      await stop(projectId);
      record('sandbox.stop', projectId, context);
      return { sandbox: await view(projectId) };
    },

    async 'sandbox:restart'({ projectId }, context) {
      await require(projectId, context.session.userId, 'write');
      await stop(projectId);
      await start(projectId);
      record('sandbox.restart', projectId, context);
      return { sandbox: await view(projectId) };
    },

    async 'sandbox:preview-url'({ projectId, port }, { session }) {
      await require(projectId, session.userId, 'read');
      return previewUrl(projectId, port, session);
    },
  };
}
