// What is told to many, some of them at a time: who of them has yet to hear of which topic. Each hears what holds when
// its turn comes, so that of two words in that time most hear only the later.

interface Round<Member, Word> {
  word: Word;
  /** Those that are not told yet, in the order in which they will be. */
  readonly waiting: Set<Member>;
}

export class FanOut<Member, Word> {
  readonly #rounds = new Map<string, Round<Member, Word>>();

  /** Whether all have heard all. */
  get isOver(): boolean {
    return this.#rounds.size === 0;
  }

  /** All of these are to hear the word; those first that have not heard the topic's last one. */
  say(topic: string, word: Word, members: Iterable<Member>): void {
    const waiting = this.#rounds.get(topic)?.waiting ?? new Set();
    for (const member of members) waiting.add(member);
    if (waiting.size > 0) this.#rounds.set(topic, { word, waiting });
  }

  /** Whether anybody has yet to hear of a topic. */
  awaitsAny(topic: string): boolean {
    return this.#rounds.has(topic);
  }

  /** Whether one has yet to hear of a topic. */
  awaits(topic: string, member: Member): boolean {
    return this.#rounds.get(topic)?.waiting.has(member) === true;
  }

  /**
   * Takes those out of their turns that have yet to hear of a topic, or only who `isMeant` of them, with what they were
   * to hear; undefined: none.
   */
  take(
    topic: string,
    isMeant: (member: Member) => boolean = () => true,
  ): { readonly word: Word; readonly members: readonly Member[] } | undefined {
    const round = this.#rounds.get(topic);
    if (round === undefined) return undefined;
    const members = [...round.waiting].filter(isMeant);
    for (const member of members) round.waiting.delete(member);
    if (round.waiting.size === 0) this.#rounds.delete(topic);
    return members.length === 0 ? undefined : { word: round.word, members };
  }

  /** Takes one out of its turn: the word that it has yet to hear; undefined: none. */
  settle(topic: string, member: Member): Word | undefined {
    const round = this.#rounds.get(topic);
    if (round?.waiting.delete(member) !== true) return undefined;
    if (round.waiting.size === 0) this.#rounds.delete(topic);
    return round.word;
  }

  /** The next ones, so many of each topic at most, with what they are to be told now. */
  next(count: number): { readonly member: Member; readonly word: Word }[] {
    const told: { member: Member; word: Word }[] = [];
    for (const [topic, { word, waiting }] of this.#rounds) {
      for (const member of [...waiting.values().take(count)]) {
        waiting.delete(member);
        told.push({ member, word });
      }
      if (waiting.size === 0) this.#rounds.delete(topic);
    }
    return told;
  }
}
