import { seedRange } from './seed-range.ts';

seedRange(231, 270);
