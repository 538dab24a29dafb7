# A worker that builds nothing: it speaks the protocol, and breaks it in the ways its arguments say.
#   perl double.pl SEED FAULTS-PER-1000
use strict; use warnings;
$| = 1;
my ($seed, $faults) = @ARGV;
my $state = $seed & 0x7fffffff;
sub chance { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % 1000 < $_[0]; }
sub below { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0]; }
sub say_line { print "$_[0]\n"; }
sub respond { say_line("BM> $_[0]"); }
my $commits = 1;
sub result {
  my ($board, $upto) = @_;
  my $code = chance(100) ? 2 : 0;
  respond(qq({"resp":"build_result","board":"$board","commit_upto":$upto,"return_code":$code,"stderr":"","stdout":"","load_avg":0.5,"new_field":[1]}));
}
sub misbehave {
  my ($board) = @_;
  my $how = below(10);
  if ($how == 0) { exit 1 }
  if ($how == 1) { say_line("BM> {not json"); }
  if ($how == 2) { respond(qq({"resp":"error","msg":"out of luck"})); }
  if ($how == 3) { kill 'KILL', $$; sleep 10; }
  if ($how == 4) { say_line("noise \x00\xff " . ("x" x below(5000))); }
  if ($how == 5) { respond(qq({"resp":"invented","board":1})); }
  if ($how == 6) { result($board, below($commits + 3)); result("nobody", 0); }
  if ($how == 7) { respond(qq({"resp":"build_result","board":"$board"})); }
  if ($how == 8) { close STDOUT; exit 0; }
  if ($how == 9) { print "BM> {\"resp\":\"heart"; exit 3; }
}
sub build {
  my ($board, $only) = @_;
  respond(qq({"resp":"heartbeat","board":"$board","thread":0}));
  misbehave($board) if chance($faults);
  return if chance($faults / 4); # an exception inside the worker shows only so
  my @all = defined $only && !chance(500) ? split(/,/, $only) : (0 .. $commits - 1);
  for my $upto (@all) {
    result($board, $upto);
    result($board, $upto) if chance($faults / 2);
    misbehave($board) if chance($faults / 3);
  }
}
say_line("Welcome to this host");
respond('{"resp":"ready","nthreads":2,"slots":2}');
while (my $line = <STDIN>) {
  my ($command) = $line =~ /"cmd":"(\w+)"/ or next;
  if ($command eq 'configure') { respond('{"resp":"configure_done"}'); }
  elsif ($command eq 'build_prepare') {
    my ($list) = $line =~ /"commits":\[([^\]]*)\]/;
    $commits = () = $list =~ /,/g; $commits++;
    respond('{"resp":"build_started","num_threads":2}');
    respond('{"resp":"build_prepare_done"}');
  }
  elsif ($command eq 'build_board') {
    my ($board) = $line =~ /"board":"([^"]*)"/;
    my ($only) = $line =~ /"commits":\[([^\]]*)\]/;
    build($board, $only);
  }
  elsif ($command eq 'build_boards') {
    my ($list) = $line =~ /"commits":\[([^\]]*)\]/;
    $commits = () = $list =~ /,/g; $commits++;
    build($1) while $line =~ /"board":"([^"]*)"/g;
    respond('{"resp":"build_done","exceptions":0}');
  }
  elsif ($command eq 'build_done') { respond('{"resp":"build_done","exceptions":0}'); }
  elsif ($command eq 'quit') { respond('{"resp":"quit_ack"}'); exit 0; }
}
