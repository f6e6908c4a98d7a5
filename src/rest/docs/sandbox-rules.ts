/** The promises about sandboxes, their files, and runs of code. As in `rules.ts`, an id is never given to another rule. */
import { LIMITS } from '../../protocol/index.ts';
import { kib, mib, minutes, seconds, type RuleGroup } from './rule-group.ts';

export const SANDBOX_RULES: readonly RuleGroup[] = [
  {
    title: 'Sandboxes',
    rules: {
      'SB-1':
        'A project has one sandbox. It starts with the first use by an editor or the owner, and stops when one of them says so; /work and the home stay. Each change of its status is told to the members.',
      'SB-2':
        'Where `survives` is true a sandbox and all that runs in it outlive the server, whatever ended it: the next one has it again.',
      'SB-3':
        'One that nobody uses is paused after some time, goes on at once when it is used, and is stopped after twice that time. Watching a terminal, what programs write to terminals, commands, previews and packages are use.',
      'SB-4': 'One that ends by itself is told of, with the reason.',
      'SB-5': `So many may run at once for the projects of one user as the server is set to: one more is \`quota_exceeded\`. Members see how it is; who only reads is \`forbidden\` to use it, and so is everybody else in a public project. One that does not run within ${seconds(LIMITS.sandboxStartMs)} is \`unavailable\`.`,
      'SB-6':
        'Servers of one machine share it: what one started the others use, and when it dies one of them takes over what runs.',
      'SB-7':
        'Where `files` is `memory`, what is no file of the project (the home without caches; in /work what is left out, as `.git`) is put into an archive when the sandbox is stopped or its server ends in order, and back when it starts; packages that a `package-lock.json` names are installed again instead. One that cannot be written leaves the former; one that cannot be read does not keep the sandbox from starting.',
      'SB-8':
        'A volume that nobody has used for as many days as the server is set to, or earlier where its disk has no room for another, is removed when all of it is in the project and its archive, and stays if that cannot be. With the next start all is back.',
      'SB-9': `Servers on several machines run a project's sandbox where its volume is. When that machine is gone it starts on another one, with its files and with what was archived when it was stopped last. While it was not stopped since its last use, that is after ${minutes(LIMITS.machineAwayMs)}, and \`unavailable\` until then: the machine may only be restarting.`,
    },
  },
  {
    title: "A sandbox's files",
    rules: {
      'WS-1':
        'What programs change in /work comes into the project, and what people write comes to /work, each within about a second. Left out are `node_modules`, `.git`, what builds make, links and special files; `workspace:left-out` tells of the rest that cannot be brought over.',
      'WS-2':
        'Packages come by way of the server from the registries that it allows, for npm and pip; a sandbox has no other network.',
      'WS-3':
        'Changes on both sides at the same moment are both there afterwards: in texts as edits of each other, of other files as versions.',
    },
  },
  {
    title: 'Runs of code',
    rules: {
      'RN-1':
        'With `wait` the answer comes when the run has ended, with its output, exit code, signal and time. Over HTTP that is the form to use.',
      'RN-2':
        'Otherwise who started it, or attached, gets `code:output` as it comes, all of it before `code:exited`, and nobody else does.',
      'RN-3': `A run ends with its time, with more than ${kib(LIMITS.runOutputChars)} of output, or where its memory is not enough, and says which. All that it has started ends with it.`,
      'RN-4': 'A run has no network.',
      'RN-5': `With a project its files are in the working directory, as they are at that moment: at most ${mib(LIMITS.runFilesBytes)}.`,
      'RN-6':
        'A repetition with the same `clientId` finds the first run. Its output is kept for some minutes after its end, and is had on any server.',
    },
  },
];
