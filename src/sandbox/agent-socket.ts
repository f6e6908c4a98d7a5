/** The socket that a sandbox's agent connects to. It is the server's: nothing in a sandbox can put another in its place. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** Its directory is bound into the sandbox read-only; the agent's group may pass through it … */
const DIRECTORY_MODE = 0o710;
/** … and connect. */
const SOCKET_MODE = 0o660;
/** What an address of the kernel holds, without the zero at its end. */
const PATH_BYTES = 107;

export const SOCKET_NAME = 'agent.sock';

export interface AgentSocket {
  /** Takes no more connections and takes the socket away, unless another server has put its own there. */
  close(): Promise<void>;
}

/** Makes the directory and a socket in it, in place of one that is there. */
export async function listenForAgent(directory: string, onConnection: (socket: Socket) => void): Promise<AgentSocket> {
  const path = join(directory, SOCKET_NAME);
  // Moved to its place when it is as it has to be, so that no agent sees it before or finds none.
  const madeAt = join(directory, `${randomBytes(3).toString('hex')}.s`);
  if (Buffer.byteLength(path) > PATH_BYTES) throw new Error(`${path} is too long for a socket`);
  await mkdir(directory, { recursive: true });
  await chmod(directory, DIRECTORY_MODE);
  const server = createServer(onConnection);
  await listening(server, madeAt);
  let inode: number;
  try {
    await chmod(madeAt, SOCKET_MODE);
    inode = (await stat(madeAt)).ino;
    await rename(madeAt, path);
  } catch (error) {
    server.close();
    throw error;
  }
  return {
    async close() {
      const there = await stat(path).catch(() => undefined);
      if (there?.ino === inode) await rm(path, { force: true });
      // Its connections are their owner's.
      server.close();
    },
  };
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
