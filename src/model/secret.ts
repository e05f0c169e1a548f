/**
 * A value that must not be seen: a token or a claim code.
 *
 * However it is printed (string, template, JSON, inspection) it shows as `•••`; only `reveal()` gives it out,
 * so every place that handles one in clear can be found by that word.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return MASK;
  }
}

const MASK = "•••";
