/** What the application set up on a connection and expects to stand: opened chats, its own presence. */
import { AtelierError } from './atelier-error.ts';
import type { Link } from './link.ts';
import type { OperationInput, OperationOutput } from './operations.ts';

export interface StandingDeps {
  onJoined: (answer: OperationOutput<'chat:join'>) => void;
}

export interface Standing {
  /** Sets everything up again on a new connection. */
  up(link: Link): void;
  /** An operation of the application succeeded. */
  onAnswer: (name: string, input: object, data: unknown) => void;
}

export function createStanding({ onJoined }: StandingDeps): Standing {
  const joined = new Set<string>();
  let status: OperationInput<'presence:set'>['status'] | undefined;

  /** Runs `task`; what the server refuses for good now cannot stand any longer. */
  const restore = (link: Link, task: () => Promise<void>, onRefused: () => void): void =>
    link.run(async () => {
      try {
        await task();
      } catch (error) {
        if (!(error instanceof AtelierError)) throw error;
        onRefused();
      }
    });

  return {
    up(link) {
      const own = status;
      if (own !== undefined && own !== 'online') {
        restore(
          link,
          async () => void (await link.ask('presence:set', { status: own })),
          () => (status = undefined),
        );
      }
      for (const chatId of joined) {
        restore(
          link,
          async () => onJoined(await link.ask('chat:join', { chatId })),
          () => joined.delete(chatId),
        );
      }
    },
    onAnswer(name, input, data) {
      if (name === 'chat:join') {
        joined.add((input as OperationInput<'chat:join'>).chatId);
        onJoined(data as OperationOutput<'chat:join'>);
      } else if (name === 'chat:leave') joined.delete((input as OperationInput<'chat:leave'>).chatId);
      else if (name === 'presence:set') status = (input as OperationInput<'presence:set'>).status;
    },
  };
}
