/**
 * A worker of another make, in Perl: does as the protocol wants, and something else for a board.
 *
 * @param onBuildBoard statements; `say` sends an answer.
 */
export function perlWorker(onBuildBoard: string): string {
  return `$| = 1;
sub say { print "BM> $_[0]\\n" }
say '{"resp":"ready","nthreads":1,"slots":1}';
while (<STDIN>) {
  say '{"resp":"configure_done"}' if /"configure"/;
  say '{"resp":"build_prepare_done"}' if /"build_prepare"/;
  if (/"build_board"/) { ${onBuildBoard} }
  say '{"resp":"build_done","exceptions":0}' if /"build_done"/;
  if (/"quit"/) { say '{"resp":"quit_ack"}'; exit }
}
`;
}
