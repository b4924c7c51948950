// Numbers that a seed draws: the same for the same seed.
// Marsaglia's xorshift32. Returns a function of `below` that draws from 0 to below - 1.
export function randomOf(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  return (below) => {
    state ^= state << 13; state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5; state >>>= 0;
    return state % below;
  };
}
