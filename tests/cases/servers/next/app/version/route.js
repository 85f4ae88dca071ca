export function GET() {
  return new Response(process.env.VERSION);
}
