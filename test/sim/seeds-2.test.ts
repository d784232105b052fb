import { seedRange } from './seed-range.ts';

seedRange(208, 40);
seedRange(335, 40);
