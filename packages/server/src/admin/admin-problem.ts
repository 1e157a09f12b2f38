/** A call that is refused or can't be done, told in the words of RFC 9457. Its detail is for whoever asked. */
export class AdminProblem extends Error {
  override readonly name = "AdminProblem";
  readonly status: number;
  /** When it may be worth asking again. */
  readonly retryAfterSec: number | undefined;

  constructor(status: number, detail: string, retryAfterSec?: number) {
    super(detail);
    this.status = status;
    this.retryAfterSec = retryAfterSec;
  }
}
