/** A call that is refused or can't be done, told in the words of RFC 9457. Its detail is for whoever asked. */
export class AdminProblem extends Error {
  override readonly name = "AdminProblem";
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}
