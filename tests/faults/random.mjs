// Numbers that a seed repeats: xorshift (Marsaglia, 2003), 32 bits.
export class Random {
  #state;

  constructor(seed) {
    this.#state = (seed >>> 0) || 1;  // 0 would stay 0
    for (let i = 0; i < 8; ++i) this.#next();  // small seeds are alike at first
  }

  #next() {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  // An integer, both ends included.
  between(least, most) {
    return least + this.#next() % (most - least + 1);
  }

  of(list) {
    return list[this.between(0, list.length - 1)];
  }
}
