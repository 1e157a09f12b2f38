import type { NodeId } from "@pullring/core";

import type { Reading } from "./beat-store.ts";
import { type MembershipLog, warnOnce } from "./warn-once.ts";

/** What of a reading is taken at its word: members other than this node, at addresses that may be dialled. */
export class Admission {
  readonly #self: NodeId;
  readonly #mayDial: (url: string) => boolean;
  readonly #warn: (subject: string, message: string) => void;
  #ignoredRows = 0;

  constructor({ self, mayDial, log }: { self: { id: NodeId }; mayDial: (url: string) => boolean; log: MembershipLog }) {
    this.#self = self.id;
    this.#mayDial = mayDial;
    this.#warn = warnOnce(log);
  }

  /** In all. */
  get ignoredRows(): number {
    return this.#ignoredRows;
  }

  admit(reading: Reading): Reading {
    for (const subject of reading.junk)
      this.#ignore(subject, "ignored what Redis holds as a member: it makes no sense");
    const beats = reading.beats.filter(({ document: { id, url } }) => {
      if (id === this.#self) return false;
      const isAllowed = this.#mayDial(url);
      if (!isAllowed) this.#ignore(`${id} ${url}`, "ignored a member: its address is not allowed");
      return isAllowed;
    });
    return { ...reading, beats };
  }

  #ignore(subject: string, message: string): void {
    this.#ignoredRows += 1;
    this.#warn(subject, message);
  }
}
