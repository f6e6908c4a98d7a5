/** What nodes tell each other of projects, on `ALL_NODES`. It may be lost; the rows have what it told. */
import { z } from 'zod';
import { Id } from '../../protocol/index.ts';

/** What these users may do in a project may have changed; without them: what anybody may. */
export interface AccessChange {
  projectId: string;
  userIds: readonly string[] | undefined;
}

const Notice = z.object({ type: z.literal('project:access'), projectId: Id, userIds: z.array(Id).optional() });

export const toNotice = ({ projectId, userIds }: AccessChange): object => ({
  type: 'project:access',
  projectId,
  ...(userIds ? { userIds } : {}),
});

export function asAccessChange(data: unknown): AccessChange | undefined {
  if ((data as { type?: unknown } | null)?.type !== 'project:access') return undefined;
  const notice = Notice.safeParse(data).data;
  return notice && { projectId: notice.projectId, userIds: notice.userIds };
}
