/** The computer of a project: operations and events. Its terminals and runs have contracts of their own. */
import { z } from 'zod';
import { event, Id, LIMITS, operation } from '../../protocol/index.ts';
import { Port, SandboxStatus, SandboxView, StopReason } from './shapes.ts';

const project = z.strictObject({ projectId: Id });
const answer = z.object({ sandbox: SandboxView });

export const sandboxesContract = {
  'sandbox:status': operation({
    input: project,
    output: answer,
    auth: 'user',
    rate: 'reads',
    doc: "The project's sandbox as it is now, for its members. It starts nothing.",
  }),
  'sandbox:start': operation({
    input: project,
    output: answer,
    auth: 'user',
    rate: 'writes',
    timeoutMs: LIMITS.sandboxStartMs,
    doc: "Starts the project's sandbox, or lets a paused one go on; whatever needs it does so too. For editors and the owner. `quota_exceeded` when the project's owner has as many running as may be, `unavailable` where none can be started.",
  }),
  'sandbox:stop': operation({
    input: project,
    output: answer,
    auth: 'user',
    rate: 'writes',
    timeoutMs: LIMITS.sandboxStartMs,
    doc: 'Ends all programs of the sandbox. Its files stay. For editors and the owner.',
  }),
  'sandbox:restart': operation({
    input: project,
    output: answer,
    auth: 'user',
    rate: 'writes',
    timeoutMs: 2 * LIMITS.sandboxStartMs,
    doc: 'Stops the sandbox and starts it anew. For editors and the owner.',
  }),
  'sandbox:preview-url': operation({
    input: z.strictObject({ projectId: Id, port: Port }),
    output: z.object({ url: z.string(), expiresInSeconds: z.int() }),
    auth: 'user',
    rate: 'reads',
    doc: 'An address that opens what listens on the port of the sandbox in a browser, as a page or in a frame. It serves once; the page then stays open to this session. For members.',
  }),
};

export const sandboxesEvents = {
  'sandbox:changed': event({
    data: z.object({ projectId: Id, status: SandboxStatus, reason: StopReason.optional() }),
    doc: "The project's sandbox has another status, and why it was stopped.",
  }),
  'sandbox:port-opened': event({
    data: z.object({ projectId: Id, port: Port }),
    doc: 'A program in the sandbox listens on the port: `sandbox:preview-url` gives its address.',
  }),
  'sandbox:port-closed': event({
    data: z.object({ projectId: Id, port: Port }),
    doc: 'Nobody listens on the port any more.',
  }),
};
