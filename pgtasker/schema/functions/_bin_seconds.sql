-- _bin_seconds: what a bin of the histograms stands for: at most 5 % from anything in it.

create function _bin_seconds(bin smallint)
returns double precision
language sql
immutable
return case when _bin_seconds.bin = 0 then 0 else 1e-6 * 1.1 ^ (_bin_seconds.bin - 0.5) end;

comment on function _bin_seconds(smallint) is
    'The duration in the middle of a bin of a histogram.';
