"use strict";
// What to expect of thresholds, as `hierclf.rules.promise` computes it, from the held-out margins in
// the page. Thresholds are given in steps; a margin above a threshold's step is novel.
const KNOWN = 0, NEAR = 1, FAR = 2;
const LEVELS = ["super", "sub"];
const MAX_DRAWS = 2000, MAX_RESIDUALS = 300, CURVE_DRAWS = 300, CLIP = 10;

function column(text, Type) {
  return new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

function generator(seed) { // mulberry32: the same figures whenever the page is opened
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const clip = (x) => Math.max(-CLIP, Math.min(CLIP, x));
const harmonic = (s, u) => (s + u > 0 ? (2 * s * u) / (s + u) : 0);
const mean = (values) => values.reduce((sum, x) => sum + x, 0) / values.length;

function quantile(sorted, q) {
  const at = q * (sorted.length - 1), low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

class HeldOut {
  constructor(table) {
    this.step = table.step;
    this.mix = table.mix;
    this.margin = { super: column(table.super_margin, Int16Array), sub: column(table.sub_margin, Int16Array) };
    this.unit = column(table.unit, Uint16Array);
    this.flags = column(table.flags, Uint8Array);
    this.n = this.flags.length;
    this.random = generator(1);
    this.drawn = new Map();
    const classes = (drawn) => Object.fromEntries(Object.entries(drawn).map(([n, text]) => [n, column(text, Uint16Array)]));
    this.index = { [NEAR]: classes(table.draws.near), [FAR]: classes(table.draws.hidden) };
    this.nNew = { [NEAR]: this.mix.new_sub_classes, [FAR]: this.mix.new_super_classes };
    this.groups = {};
    for (const level of LEVELS) this.groups[level] = [KNOWN, NEAR, FAR].map((kind) => this.group(kind, level));
    this.far = this.farRows(table.draws);
  }

  kind(i) { return this.flags[i] & 3; }
  right(i, level) { return (this.flags[i] & (level === "super" ? 4 : 8)) > 0; }

  // The rows of a kind that count at a level, with weights: every image of a known class weighs the
  // same; of new ones every class does.
  group(kind, level) {
    const counts = (i) => this.kind(i) === kind && (level === "sub" || this.flags[i] & 16);
    const rows = Array.from({ length: this.n }, (_, i) => i).filter(counts);
    const units = [...new Set(rows.map((i) => this.unit[i]))].sort((a, b) => a - b), n = units.length;
    const index = new Map(units.map((unit, u) => [unit, u])), place = rows.map((i) => index.get(this.unit[i]));
    const count = new Float64Array(n), mass = new Float64Array(n);
    place.forEach((u) => { count[u]++; });
    const weight = place.map((u) => (kind === KNOWN ? 1 / rows.length : 1 / (n * count[u])));
    place.forEach((u, j) => { mass[u] += weight[j]; });
    return { kind, rows, place, weight, mass, n };
  }

  farRows(draws) {
    const { rows, place, n } = this.groups.sub[FAR];
    if (!n) return null;
    const stride = Math.ceil(rows.length / MAX_RESIDUALS);
    const few = rows.map((_, j) => j).filter((j) => j % stride === 0);
    const total = few.reduce((sum, j) => sum + this.groups.sub[FAR].weight[j], 0);
    const [chi, common, each] = [draws.chi, draws.mean, draws.each].map((text) => column(text, Float32Array));
    return {
      rows, place, n, few, chi, common, each,
      weight: few.map((j) => this.groups.sub[FAR].weight[j] / total),
    };
  }

  novel(i, at) {
    const above = this.margin.super[i] > at.super;
    return { super: above, sub: above || this.margin.sub[i] > at.sub };
  }

  // Whether the decision for a row is right at a level.
  hit(i, level, at) {
    const novel = this.novel(i, at)[level], kind = this.kind(i);
    if (level === "super") return kind === FAR ? novel : this.right(i, "super") && !novel;
    return kind === KNOWN ? this.right(i, "sub") && !novel : novel;
  }

  counted(kind, level, at) {
    const { rows, n } = this.groups[level][kind];
    return { right: rows.filter((i) => this.hit(i, level, at)).length, images: rows.length, classes: n };
  }

  weighted(kind, level, at) {
    const { rows, weight } = this.groups[level][kind];
    if (!rows.length) return null;
    return rows.reduce((sum, i, j) => sum + (this.hit(i, level, at) ? weight[j] : 0), 0);
  }

  // The known classes of every draw: those at hand are a sample, and so are those to come.
  knownClasses(n) {
    if (!this.drawn.has(n)) {
      const draws = Math.max(200, Math.min(MAX_DRAWS, Math.floor(4e6 / n)));
      const index = new Uint16Array(draws * n), first = new Uint16Array(n);
      for (let d = 0; d < draws; d++) {
        for (let j = 0; j < n; j++) first[j] = Math.floor(n * this.random());
        for (let j = 0; j < n; j++) index[d * n + j] = first[Math.floor(n * this.random())];
      }
      this.drawn.set(n, index);
    }
    return this.drawn.get(n);
  }

  resampled(kind, level, at) {
    const { rows, place, weight, mass, n } = this.groups[level][kind];
    if (!n) return null;
    const total = new Float64Array(n);
    rows.forEach((i, j) => { if (this.hit(i, level, at)) total[place[j]] += weight[j]; });
    const index = kind === KNOWN ? this.knownClasses(n) : this.index[kind][n];
    const nNew = kind === KNOWN ? n : this.nNew[kind], draws = index.length / nNew;
    return Float64Array.from({ length: MAX_DRAWS }, (_, d) => {
      let hits = 0, all = 0;
      const start = (d % draws) * nNew;
      for (let j = start; j < start + nNew; j++) { hits += total[index[j]]; all += mass[index[j]]; }
      return hits / all;
    });
  }

  // Where the scores of a new super-class may lie: `new_class` with a prior worth one class.
  location(level, at) {
    const far = this.far, z = (i) => clip((this.margin[level][i] - at[level]) * this.step);
    const sum = new Float64Array(far.n), count = new Float64Array(far.n);
    far.rows.forEach((i, j) => { sum[far.place[j]] += z(i); count[far.place[j]]++; });
    const places = sum.map((x, u) => x / count[u]), centre = mean(places), n = far.n;
    const [known, near] = this.groups.super;
    const start = near.n ? near : known;
    const begin = start.n ? start.rows.reduce((s, i, j) => s + start.weight[j] * z(i), 0) : 0;
    const gap = Math.max(centre - begin, 0.1), middle = begin + gap / 2, strength = n + 1;
    const within = places.reduce((s, x) => s + (x - centre) ** 2, 0);
    const spread = (gap / 2) ** 2 + within + (n / strength) * (centre - middle) ** 2;
    return {
      residuals: far.few.map((j) => z(far.rows[j]) - places[far.place[j]]),
      mu: (middle + n * centre) / strength, scale: Math.sqrt(spread / n), strength,
    };
  }

  newSuperClasses(at, draws) {
    if (!this.far) return { super: null, sub: null };
    const far = this.far, models = LEVELS.map((level) => this.location(level, at));
    const found = { super: new Float64Array(draws), sub: new Float64Array(draws) };
    for (let d = 0; d < draws; d++) {
      const [s, b] = models.map((m) => {
        const sigma = m.scale * Math.sqrt(far.n / far.chi[d]);
        return m.mu + (sigma * far.common[d]) / Math.sqrt(m.strength) + sigma * far.each[d];
      });
      for (let r = 0; r < far.weight.length; r++) {
        const above = s + models[0].residuals[r] > 0;
        if (above) found.super[d] += far.weight[r];
        if (above || b + models[1].residuals[r] > 0) found.sub[d] += far.weight[r];
      }
    }
    return found;
  }

  // The sub level's draws moved up to the mean over the super-classes at hand, beside which the model
  // counts as one.
  centred(far, at) {
    if (!far.sub) return far;
    const { rows, weight, n } = this.groups.sub[FAR], old = mean(far.sub);
    const atHand = rows.reduce((sum, i, j) => sum + (this.novel(i, at).sub ? weight[j] : 0), 0);
    if (atHand <= old) return far;
    const misses = (n * (1 - atHand) + (1 - old)) / (n + 1);
    return { ...far, sub: far.sub.map((x) => 1 - ((1 - x) * misses) / (1 - old)) };
  }

  mixed(first, second, fraction) {
    if (first === null || second === null) return first === null ? second : first;
    return first.map((x, d) => (1 - fraction) * x + fraction * second[d]);
  }

  // Every figure: expected, low and high (90 %), in [0, 1]; null where nothing could be held out.
  figures(at) {
    const far = this.newSuperClasses(at, MAX_DRAWS);
    const others = {
      super_seen_known: this.resampled(KNOWN, "super", at),
      super_seen_near: this.resampled(NEAR, "super", at),
      sub_seen: this.resampled(KNOWN, "sub", at),
      sub_unseen_near: this.resampled(NEAR, "sub", at),
    };
    const hidden = Object.fromEntries(LEVELS.map((level) => [level, this.resampled(FAR, level, at)]));
    const draws = [this.centred(far, at), far, hidden].map((unseen) => this.combined(others, unseen));
    return Object.fromEntries(Object.entries(draws[0]).map(([key, x]) => [key, x && this.interval(draws.map((set) => set[key]))]));
  }

  combined(others, far) {
    const mix = this.mix, draws = { ...others, super_unseen: far.super, sub_unseen_far: far.sub };
    draws.super_seen = this.mixed(draws.super_seen_known, draws.super_seen_near, mix.near_of_seen);
    draws.sub_unseen = this.mixed(draws.sub_unseen_near, draws.sub_unseen_far, mix.far_of_unseen);
    for (const level of LEVELS) {
      const seen = draws[`${level}_seen`], unseen = draws[`${level}_unseen`], novel = mix[`${level}_novel`];
      const both = seen && unseen;
      draws[`${level}_overall`] = both ? this.mixed(seen, unseen, novel) : null;
      draws[`${level}_harmonic`] = both ? seen.map((s, d) => harmonic(s, unseen[d])) : null;
    }
    return draws;
  }

  // The first draws say what is expected; the interval spans those of all.
  interval(draws) {
    const expected = mean(draws[0]), sorted = draws.map((x) => Float64Array.from(x).sort());
    return {
      expected,
      low: Math.min(...sorted.map((x) => quantile(x, 0.05)), expected),
      high: Math.max(...sorted.map((x) => quantile(x, 0.95)), expected),
    };
  }

  // Expected seen and unseen accuracy of a level: a point of its trade-off curve.
  point(level, at) {
    const far = this.centred(this.newSuperClasses(at, CURVE_DRAWS), at)[level];
    const unseenFar = far && [mean(far)], at1 = (kind) => {
      const x = this.weighted(kind, level, at);
      return x === null ? null : [x];
    };
    const seen = level === "super" ? this.mixed(at1(KNOWN), at1(NEAR), this.mix.near_of_seen) : at1(KNOWN);
    const unseen = level === "super" ? unseenFar : this.mixed(at1(NEAR), unseenFar, this.mix.far_of_unseen);
    return seen && unseen && { seen: seen[0], unseen: unseen[0] };
  }
}
