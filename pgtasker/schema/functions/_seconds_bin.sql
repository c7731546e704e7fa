-- _seconds_bin: the place of a duration on the scale of the histograms: marks from a microsecond
-- on, each 10 % above the one before.

create function _seconds_bin(seconds double precision)
returns smallint
language sql
immutable
return case
    when _seconds_bin.seconds < 1e-6 then 0
    else 1 + floor(ln(_seconds_bin.seconds / 1e-6) / ln(1.1))
end::smallint;

comment on function _seconds_bin(double precision) is
    'The bin of a histogram that a duration falls into.';
