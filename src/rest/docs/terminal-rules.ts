/** The promises about terminals. As in `rules.ts`, an id is never given to another rule. */
import { LIMITS } from '../../protocol/index.ts';
import { kib, mib, seconds, type RuleGroup } from './rule-group.ts';

export const TERMINAL_RULES: readonly RuleGroup[] = [
  {
    title: 'Terminals: output',
    rules: {
      'TM-1':
        'A terminal runs on whoever watches it. All who are attached get the same bytes with their offsets, and `terminal:exited` after the last of them.',
      'TM-2': `\`terminal:attach\` gives the output from \`after\` on to the byte: what is to be had at once in the answer (at most ${LIMITS.terminalChunks} chunks of ${kib(LIMITS.terminalChunkBytes)}), the rest as \`terminal:output\`. What comes after the answer is of this attachment, and goes on without gap or overlap. At least the last ${kib(LIMITS.terminalRingBytes)} of a terminal's output are kept, also when it has ended, until it is closed.`,
      'TM-3':
        'Where `after` is no longer kept, or not there yet, a snapshot of the screen comes in its place; the output goes on at its offset.',
      'TM-4': `A viewer without credits that reads too slowly is not closed for it: while ${kib(LIMITS.terminalBacklogBytes)} wait for its socket it gets no more. Then it gets what it missed, or a \`terminal:snapshot\` where that is no longer kept.`,
      'TM-5': `Programs wait for the fastest of a terminal's viewers, and for nobody where there is none. When no viewer without credits has read anything for ${seconds(LIMITS.terminalStallMs)}, and none with credits holds them back, they run on.`,
      'TM-6':
        'A viewer that names `credits` is sent no more bytes of output than it has granted, and programs wait for it where nobody is faster. A snapshot goes as a whole when there is any credit; nothing follows until there is again. `terminal:exited` needs none.',
      'TM-17': 'Viewers may be on any server: they share the terminal, its size and its end.',
      'TM-18':
        'When the sandbox goes to another server, viewers stay attached; they miss nothing and get nothing twice.',
      'TM-19': `A terminal that goes with its sandbox ends with the reason \`lost\`; when nobody has the sandbox for ${seconds(LIMITS.terminalTakeoverMs)} that is so too.`,
      'TM-20': 'After servers did not hear each other for a while, output goes on where it was.',
      'TM-21':
        'Whatever viewers do (come, go, lag, resume), what each has is what the program wrote, apart from the snapshots that it was sent.',
      'TM-22': 'What viewers at the same position get is made once, and no slow one holds up a fast one.',
    },
  },
  {
    title: 'Terminals: use',
    rules: {
      'TM-7':
        'A terminal is as small as the smallest of the attached who may type in it and gave a size; when one of them leaves it grows. Who only watches does not count. A change is told to all who are attached, by `terminal:resized`.',
      'TM-23':
        '`terminal:detach` takes a socket out: it hears nothing more, and does not count for the size. So does its end; the terminal runs on.',
      'TM-8':
        "Members of the project watch; its editors and the owner open, type, resize, signal, close and record. A public project's terminals are for its members only.",
      'TM-9':
        'What somebody may do follows at once: who may not watch any more is detached, by `terminal:failed`, and hears nothing from then on.',
      'TM-10':
        'A terminal runs a login shell or one line of shell, in a folder of the project, as `xterm-256color`; git names the member who opened it.',
      'TM-11': `A user has at most ${LIMITS.terminalsPerUser} open in one project. Those that have ended stay, to be looked at, until they are closed or their opener opens others.`,
      'TM-12': `\`terminal:open\` again with the same \`clientId\` finds the same terminal; for ${seconds(LIMITS.terminalRememberedMs)} after that was closed it is a \`conflict\`. All who are attached to a closed terminal hear \`terminal:exited\` with the reason \`closed\`.`,
      'TM-13':
        'A signal goes to what runs in the foreground. How a shell ended is told by its code or the name of the signal.',
      'TM-14': `Programs' questions are answered once, where the terminal runs. What viewers' terminals answer by themselves (device attributes, status, the cursor's position, modes, settings, colours, the clipboard) is removed from what is typed. Kept is what keys send, also \`CSI 1 ; 2 R\` to \`CSI 1 ; 16 R\`, which are F3 with modifiers, and all of a bracketed paste. An answer has to come in one input, as terminals give it: one in two pieces is typed. At most ${kib(LIMITS.terminalInputBytes)} at once (\`too_large\`), and no more while programs do not read (\`rate_limited\`).`,
      'TM-15':
        'What one socket types into a terminal arrives in the order it was sent, and never twice. Where it is not known whether it arrived, the answer is `timeout`.',
      'TM-16': `A recording is asciicast version 2: the screen when it began, then output and sizes with their times, up to ${mib(LIMITS.terminalRecordingBytes)}. It ends with its terminal at the latest; the last one is kept until its project goes. Its address serves without a token, for at most an hour.`,
    },
  },
];
