/** Where the fuzz of co-editing plays: server processes on one database and one Redis, people, and their project. */
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { Ends } from '../support/ends.ts';
import { signUp } from '../support/people.ts';
import type { Person } from '../support/server.ts';
import type { AtelierClient } from '../../src/client/index.ts';

export interface CollabStage extends AsyncDisposable {
  readonly cluster: TestCluster;
  /** All of them may write. */
  readonly people: readonly Person[];
  /** Makes a text file; resolves with its id. */
  createFile(path: string, content: string): Promise<string>;
  /** The text that is stored, as a node gives it. */
  readFile(fileId: string, node: number): Promise<string>;
}

const PEOPLE = 5;

export async function startStage(nodes: number): Promise<CollabStage> {
  const ends = new Ends();
  try {
    const cluster = ends.use(await startCluster({ nodes }));
    const people = await signUp(cluster.world(), PEOPLE);
    const [owner, ...others] = people as [Person, ...Person[]];
    const clients: AtelierClient[] = [];
    for (let node = 0; node < nodes; node++) clients.push(await cluster.world(node).client(owner));
    const client = clients[0] as AtelierClient;
    const { project } = await client.call('project:create', { name: 'Fuzz' });
    for (const { id } of others) {
      await client.call('project:add-member', { projectId: project.id, userId: id, role: 'editor' });
    }
    return {
      cluster,
      people,
      async createFile(path, content) {
        const { file } = await client.call('file:create', { projectId: project.id, path, content });
        return file.id;
      },
      async readFile(fileId, node) {
        const answer = await (clients[node] as AtelierClient).call('file:read', { fileId });
        if (!('content' in answer) || answer.content === undefined) throw new Error('The file has no text');
        return answer.content;
      },
      [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose](),
    };
  } catch (error) {
    await ends[Symbol.asyncDispose]();
    throw error;
  }
}
