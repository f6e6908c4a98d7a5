/** A project's sandbox as its members see it. */
import { z } from 'zod';
import { Id, Time } from '../../protocol/index.ts';

export const SandboxStatus = z
  .enum(['off', 'stopped', 'starting', 'running', 'paused', 'stopping'])
  .meta({ description: '`off`: this server runs none. `paused`: nobody has used it for a while; it goes on at once.' });
export type SandboxStatus = z.output<typeof SandboxStatus>;

export const StopReason = z.enum(['stopped', 'idle', 'exited', 'memory', 'failed', 'deleted']).meta({
  description:
    'Who or what ended it: a member, nobody having used it, itself, the machine for taking too much memory, a start that did not succeed, the deletion of its project',
});
export type StopReason = z.output<typeof StopReason>;

export const Port = z.int().min(1).max(65_535).meta({ description: 'A TCP port of the sandbox' });

export const SandboxView = z
  .object({
    projectId: Id,
    status: SandboxStatus,
    driver: z.enum(['docker', 'docker-exec', 'local']).optional().meta({ description: 'What runs it' }),
    isolated: z
      .boolean()
      .meta({ description: "False with `local`: its programs are processes of the server's own machine" }),
    survives: z.boolean().meta({ description: 'Whether its terminals outlive a restart of the server' }),
    files: z.enum(['quota', 'memory', 'unlimited']).meta({
      description:
        'What holds /work: a volume of limited size, memory (what is no file of the project is archived when it stops), or a folder without a limit',
    }),
    startedAt: Time.optional(),
    ports: z.array(Port).meta({ description: 'Ports that programs in it listen on' }),
  })
  .meta({ id: 'Sandbox' });
export type SandboxView = z.output<typeof SandboxView>;
