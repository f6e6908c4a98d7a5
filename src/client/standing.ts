/** What the application set up on a connection and expects to stand: opened chats, watched people, its own presence. */
import { AtelierError } from './atelier-error.ts';
import type { Link } from './link.ts';
import type { ClientEvents, OperationInput, OperationOutput } from './operations.ts';

type Presence = ClientEvents['presence:changed'];

export interface StandingDeps {
  emit: (name: 'presence:changed', data: Presence) => void;
  onJoined: (answer: OperationOutput<'chat:join'>) => void;
}

export interface Standing {
  /** Sets everything up again on a new connection. */
  up(link: Link): void;
  /** An operation of the application succeeded. */
  onAnswer: (name: string, input: object, data: unknown) => void;
  onPresence: (event: Presence) => void;
}

export function createStanding({ emit, onJoined }: StandingDeps): Standing {
  const joined = new Set<string>();
  let watched: string[] = [];
  let status: OperationInput<'presence:set'>['status'] | undefined;
  /** What the application knows of those it watches. */
  const known = new Map<string, string>();

  const note = (presence: Presence): boolean => {
    const value = JSON.stringify([presence.status, presence.lastSeen]);
    const isNews = known.get(presence.userId) !== value;
    known.set(presence.userId, value);
    return isNews;
  };

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

  const watchAgain = async (link: Link, userIds: string[]): Promise<void> => {
    const { items } = await link.ask('presence:watch', { userIds });
    if (userIds !== watched) return;
    for (const presence of items) if (note(presence)) emit('presence:changed', presence);
  };

  return {
    up(link) {
      const own = status;
      const users = watched;
      if (own !== undefined && own !== 'online') {
        restore(
          link,
          async () => void (await link.ask('presence:set', { status: own })),
          () => (status = undefined),
        );
      }
      if (users.length > 0)
        restore(
          link,
          () => watchAgain(link, users),
          () => (watched = []),
        );
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
      else if (name === 'presence:watch') {
        watched = (input as OperationInput<'presence:watch'>).userIds;
        known.clear();
        for (const presence of (data as OperationOutput<'presence:watch'>).items) note(presence);
      }
    },
    onPresence(event) {
      note(event);
      emit('presence:changed', event);
    },
  };
}
