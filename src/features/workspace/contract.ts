/** What members are told of a project's workspace: what of it is not in the project. */
import { z } from 'zod';
import { event, Id } from '../../protocol/index.ts';

export const LeftOutReason = z.enum(['link', 'folder', 'special', 'too_large', 'unreadable', 'refused']).meta({
  description:
    "`refused`: the project cannot have it, as its path, its place or its owner's space do not allow it. `special`: a pipe, a device and the like. `folder`: one is where the project has a file.",
});

export const workspaceEvents = {
  'workspace:left-out': event({
    data: z.object({ projectId: Id, path: z.string(), reason: LeftOutReason }),
    doc: 'Something in the sandbox is not brought into the project. Told once each time that the sandbox is started, of the first hundred.',
  }),
};
