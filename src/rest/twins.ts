/** The HTTP twins that a contract declares, one for each route and alias, in the order in which they must be matched. */
import type { Contract, HttpBinding, HttpMethod, Operation } from '../protocol/index.ts';

export interface Twin {
  name: string;
  operation: Operation;
  http: HttpBinding;
  method: HttpMethod;
  /** Express path, as `/api/chats/:chatId`. */
  path: string;
  /** Names of the path's parameters. */
  parameters: string[];
  isAlias: boolean;
}

/** A fixed part comes before a parameter (`/api/users/search` before `/api/users/:id`). Throws when two operations claim one route. */
export function twinsOf(contract: Contract): Twin[] {
  const twins: Twin[] = [];
  const owners = new Map<string, string>();
  for (const [name, operation] of Object.entries(contract)) {
    const http = operation.http;
    if (!http) continue;
    for (const route of [http.route, http.alias]) {
      if (!route) continue;
      const shape = route.replaceAll(/:\w+/g, ':');
      const owner = owners.get(shape);
      if (owner !== undefined) throw new Error(`${route} is claimed by ${owner} and ${name}`);
      owners.set(shape, name);
      const [method, path] = route.split(' ') as [HttpMethod, string];
      const parameters = [...path.matchAll(/:(\w+)/g)].map((match) => match[1] as string);
      twins.push({ name, operation, http, method, path, parameters, isAlias: route !== http.route });
    }
  }
  return twins.sort((a, b) => compare(rank(a.path), rank(b.path)));
}

/** GET and DELETE take the rest of their input from the query, the others from a JSON body. */
export const takesBody = (method: HttpMethod): boolean => method === 'POST' || method === 'PUT';

/** A colon sorts behind every letter. */
const rank = (path: string): string => path.replaceAll(':', '\uFFFF');
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
